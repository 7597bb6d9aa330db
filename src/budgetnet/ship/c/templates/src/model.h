// The network as a TensorFlow Lite file.
#ifndef BUDGETNET_MODEL_H_
#define BUDGETNET_MODEL_H_

namespace budgetnet {

extern const unsigned char kModel[];
extern const unsigned int kModelBytes;

}  // namespace budgetnet

#endif  // BUDGETNET_MODEL_H_
