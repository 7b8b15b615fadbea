// What the tests of the cpu table share: the reference table as the oracle, plain arrays as the common ground.
#ifndef LQF_CPU_TESTING_H
#define LQF_CPU_TESTING_H

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cpu/kernels.h"
#include "ops.h"
#include "threads.h"

namespace lqf::testing {

constexpr double kEps = 6e-8;  // half an ulp of float at 1

using Floats = std::vector<float>;

// Small integers: sums stay below 2^24, so that every order of summation gives the same bits.
inline Floats integers(size_t count, unsigned seed) {
    std::mt19937 random(seed);
    Floats values(count);
    for (float& v : values) v = float(int(random() % 7) - 3);
    return values;
}

inline Floats normals(size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Floats values(count);
    for (float& v : values) v = normal(random);
    return values;
}

// A table with its team, and values in its layout.
struct Device {
    const Ops& ops;
    Threads threads;

    explicit Device(const Ops& o, int count = 1) : ops(o), threads(count) {}

    size_t floats(int n, int c, int h, int w) const {
        const int b = ops.channel_block;
        return size_t(n) * size_t((c + b - 1) / b * b) * size_t(h) * size_t(w);
    }
    Floats in_layout(int n, int c, int h, int w, const Floats& plain) {
        Floats x(floats(n, c, h, w), NAN);
        ops.import_images(threads, n, c, h, w, plain.data(), x.data());
        return x;
    }
    // Back to [n, c, h, w]; lanes beyond c must be zero.
    template <class T>
    std::vector<T> plain(int n, int c, int h, int w, const std::vector<T>& x) const {
        const int b = ops.channel_block, blocks = (c + b - 1) / b;
        std::vector<T> values;
        bool clean = true;
        for (int i = 0; i < n; ++i)
            for (int k = 0; k < blocks * b; ++k)
                for (int p = 0; p < h * w; ++p) {
                    const T value = x[size_t(((int64_t(i) * blocks + k / b) * h * w + p) * b + k % b)];
                    if (k < c)
                        values.push_back(value);
                    else
                        clean = clean && value == 0;
                }
        CHECK_MESSAGE(clean, "lanes beyond the last channel are not zero");
        return values;
    }
};

inline bool same_bits(const Floats& a, const Floats& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}
// Equal as numbers: -0 is 0.
template <class T>
bool same_values(const std::vector<T>& a, const std::vector<T>& b) {
    return a == b;
}

// |a - b| <= c eps sqrt(K) |b| in the Frobenius norm. Mostly zeros would prove nothing.
template <class T>
void check_close(const std::vector<T>& a, const std::vector<T>& b, double reduction, double c = 4) {
    REQUIRE(a.size() == b.size());
    double difference = 0, norm = 0;
    size_t zeros = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
        norm += double(b[i]) * b[i];
        zeros += b[i] == 0;
    }
    CHECK(zeros < a.size());
    CHECK(std::sqrt(difference) <= c * kEps * std::sqrt(reduction) * std::sqrt(norm));
}

// Runs the body under every instruction set that this machine has.
template <class Body>
void each_isa(Body body) {
    const std::string chosen = cpu::kernels().name;
    for (const std::string name : {"portable", "avx2", "avx512", "avx512-amx"}) {
        if (!cpu::use_kernels(name.c_str())) continue;
        CAPTURE(name);
        body();
    }
    cpu::use_kernels(chosen.c_str());
}

}  // namespace lqf::testing
#endif
