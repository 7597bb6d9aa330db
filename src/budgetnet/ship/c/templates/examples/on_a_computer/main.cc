// Classifies the example image, or an image from a file, and prints the answer.
//
//   classify           the example image; ends with 0 where the answer is the exported one, else with 1
//   classify PIXELS    a file of kImageBytes pixels and no header
#include <cstdio>

#include <budgetnet_classifier.h>

#include "../one_image/example_image.h"

namespace {

budgetnet::Answer answer;
uint8_t pixels[budgetnet::kImageBytes];

int Fail(const char* wrong) {
  std::fprintf(stderr, "%s\n", wrong);
  return 2;
}

bool Read(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) {
    return false;
  }
  const bool whole = std::fread(pixels, 1, sizeof(pixels), file) == sizeof(pixels) && std::fgetc(file) == EOF;
  std::fclose(file);
  return whole;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && !Read(arguments[1])) {
    return Fail("the file has not as many bytes as an image of the network's size");
  }
  const char* wrong = budgetnet::Setup();
  if (wrong == nullptr) {
    wrong = budgetnet::Classify(count > 1 ? pixels : budgetnet::kExampleImage, &answer);
  }
  if (wrong != nullptr) {
    return Fail(wrong);
  }
  std::printf("label %d %s\n", answer.label, budgetnet::kLabels[answer.label]);
  if (answer.none_of_these) {
    std::printf("none of these\n");
  }
  std::printf("probability %.6f\n", static_cast<double>(answer.probabilities[answer.label]));
  std::printf("logits");
  for (int i = 0; i < budgetnet::kClasses; ++i) {
    std::printf(" %d", answer.logits[i]);
  }
  std::printf("\narena %u of %d\n", static_cast<unsigned>(budgetnet::ArenaUsedBytes()), budgetnet::kArenaBytes);
  if (count > 1) {
    return 0;
  }
  const int difference = budgetnet::ExampleDifference(answer);
  std::printf("difference %d\n", difference);
  return answer.label == budgetnet::kExampleLabel && difference <= 1 ? 0 : 1;
}
