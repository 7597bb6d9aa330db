// Makes an image of any size one of the network's, as training did.
#ifndef BUDGETNET_FIT_H_
#define BUDGETNET_FIT_H_

#include <cstdint>

namespace budgetnet {

// Reads height x width x kChannels pixels and writes kImageBytes. Neither lies in the other.
void Fit(const uint8_t* image, int height, int width, uint8_t* pixels);

}  // namespace budgetnet

#endif  // BUDGETNET_FIT_H_
