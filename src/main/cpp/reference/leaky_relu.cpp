// leaky_relu: y = z where z > 0, else slope z.  slope >= 0, so y > 0 exactly where z > 0 and y alone tells the mask.
#include "reference/reference.h"

namespace lqf::reference {

void leaky_relu(Threads&, int64_t count, float slope, const float* z, float* y) {
    for (int64_t i = 0; i < count; i++) y[i] = z[i] > 0 ? z[i] : slope * z[i];
}

void leaky_relu_scale(Threads&, int64_t count, float slope, const float* y, const float* y_bar, float* z_bar,
                      bool accumulate) {
    for (int64_t i = 0; i < count; i++) put(z_bar[i], y[i] > 0 ? y_bar[i] : slope * y_bar[i], accumulate);
}

}  // namespace lqf::reference
