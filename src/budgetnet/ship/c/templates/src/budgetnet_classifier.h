// Which class an image is of.
#ifndef BUDGETNET_CLASSIFIER_H_
#define BUDGETNET_CLASSIFIER_H_

#include <cstddef>
#include <cstdint>

#include "fit.h"
#include "model_settings.h"
#include "trust.h"

namespace budgetnet {

struct Answer {
  int label;                      // the likeliest class, as an index into kLabels
  float probabilities[kClasses];  // in the order of kLabels; they add up to 1
  int8_t logits[kClasses];        // what the network gave, before its scale
  bool none_of_these;             // whether the image looks like none of the classes: then believe no label
};

// Call it once, before the first image. nullptr, or what is wrong in words.
const char* Setup();

// Classifies an image of kImageBytes pixels (kHeight x kWidth x kChannels). nullptr, or what is wrong in words.
const char* Classify(const uint8_t* pixels, Answer* answer);

// How much of the arena is in use behind Setup.
size_t ArenaUsedBytes();

}  // namespace budgetnet

#endif  // BUDGETNET_CLASSIFIER_H_
