#include "fit.h"

#include <cmath>

#include "model_settings.h"

namespace budgetnet {
namespace {

constexpr float kReach = kBicubic ? 2.0f : 1.0f;  // a pixel of the result sees so many of its own widths to each side

// How much a pixel counts at this distance from the middle: a triangle, or Keys' cubic with a = -0.5.
float Weight(float distance) {
  const float d = std::fabs(distance);
  if (!kBicubic) {
    return d < 1.0f ? 1.0f - d : 0.0f;
  }
  if (d < 1.0f) {
    return (1.5f * d - 2.5f) * d * d + 1.0f;
  }
  return d < 2.0f ? -0.5f * (((d - 5.0f) * d + 8.0f) * d - 4.0f) : 0.0f;
}

// Which pixels of a row or column one pixel of the result sees.
struct Window {
  int begin;
  int end;
  float middle;
  float spread;  // an image that becomes smaller is smoothed by as much
};

Window WindowOf(float box_begin, float box_size, int index, int out_size, int in_size) {
  const float scale = box_size / out_size;
  const float spread = scale > 1.0f ? scale : 1.0f;
  const float middle = box_begin + (index + 0.5f) * scale;
  const int begin = static_cast<int>(middle - kReach * spread + 0.5f);
  const int end = static_cast<int>(middle + kReach * spread + 0.5f);
  return {begin < 0 ? 0 : begin, end > in_size ? in_size : end, middle, spread};
}

float WeightIn(const Window& window, int index) { return Weight((index - window.middle + 0.5f) / window.spread); }

}  // namespace

void Fit(const uint8_t* image, int height, int width, uint8_t* pixels) {
  float tall = height;
  float wide = width;
  if (kCrops) {
    const float rows = static_cast<float>(height) / kHeight;
    const float columns = static_cast<float>(width) / kWidth;
    const float scale = (rows < columns ? rows : columns) * kCropShare;
    tall = kHeight * scale;
    wide = kWidth * scale;
  }
  const float top = (height - tall) / 2.0f;
  const float left = (width - wide) / 2.0f;
  for (int y = 0; y < kHeight; ++y) {
    const Window rows = WindowOf(top, tall, y, kHeight, height);
    for (int x = 0; x < kWidth; ++x) {
      const Window columns = WindowOf(left, wide, x, kWidth, width);
      float sums[kChannels] = {};
      float weights = 0.0f;
      for (int row = rows.begin; row < rows.end; ++row) {
        const float of_row = WeightIn(rows, row);
        for (int column = columns.begin; column < columns.end; ++column) {
          const float weight = of_row * WeightIn(columns, column);
          const uint8_t* pixel = image + (static_cast<long>(row) * width + column) * kChannels;
          weights += weight;
          for (int c = 0; c < kChannels; ++c) {
            sums[c] += weight * pixel[c];
          }
        }
      }
      for (int c = 0; c < kChannels; ++c) {
        const float value = sums[c] / weights + 0.5f;
        *pixels++ = static_cast<uint8_t>(value < 0.0f ? 0.0f : value > 255.0f ? 255.0f : value);
      }
    }
  }
}

}  // namespace budgetnet
