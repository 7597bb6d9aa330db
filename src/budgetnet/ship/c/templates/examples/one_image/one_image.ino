// Classifies the example image, once a second, and says whether the answer is the exported one.
#include <TensorFlowLite.h>  // the library with TensorFlow Lite Micro; where yours has another header, name that one
#include <budgetnet_classifier.h>

#include "example_image.h"

static budgetnet::Answer answer;

void setup() { Serial.begin(115200); }

void loop() {
  const char* wrong = budgetnet::Setup();
  if (wrong == nullptr) {
    wrong = budgetnet::Classify(budgetnet::kExampleImage, &answer);
  }
  if (wrong != nullptr) {
    Serial.println(wrong);
  } else {
    if (answer.none_of_these) {
      Serial.print("none of these; likeliest is ");
    }
    Serial.print(budgetnet::kLabels[answer.label]);
    Serial.print(" ");
    Serial.print(100.0f * answer.probabilities[answer.label]);
    Serial.print(answer.label == budgetnet::kExampleLabel ? " %, as exported; steps of difference: "
                                                          : " %, not as exported; steps of difference: ");
    Serial.println(budgetnet::ExampleDifference(answer));
  }
  delay(1000);
}
