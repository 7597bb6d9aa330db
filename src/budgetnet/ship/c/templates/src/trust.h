// When an image is of none of the classes.
#ifndef BUDGETNET_TRUST_H_
#define BUDGETNET_TRUST_H_

#include <cstdint>

namespace budgetnet {

// log(sum over the classes of exp(logit)): images of the classes have more of it than others.
float Familiarity(const int8_t* logits);

// Whether an image with these logits looks like none of the classes: its familiarity is below kFamiliar.
bool NoneOfThese(const int8_t* logits);

}  // namespace budgetnet

#endif  // BUDGETNET_TRUST_H_
