#include "trust.h"

#include <cmath>

#include "model_settings.h"

namespace budgetnet {

float Familiarity(const int8_t* logits) {
  int largest = logits[0];
  for (int i = 1; i < kClasses; ++i) {
    largest = logits[i] > largest ? logits[i] : largest;
  }
  float sum = 0.0f;
  for (int i = 0; i < kClasses; ++i) {
    sum += std::exp((logits[i] - largest) * kOutputScale);
  }
  return (largest - kOutputZeroPoint) * kOutputScale + std::log(sum);
}

bool NoneOfThese(const int8_t* logits) { return Familiarity(logits) < kFamiliar; }

}  // namespace budgetnet
