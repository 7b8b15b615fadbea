// What this machine can do at most: multiply-adds in float on registers, and memory traffic. Prints "GFLOP/s GB/s" for a number of threads.
// Benchmarks run it beside themselves, so that a share of the limit compares two figures of the same minute.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "fma_loop.h"

namespace {

constexpr int kRounds = 15;
constexpr long kFmaLoops = 1000000;
constexpr size_t kFloats = size_t(16) << 20;  // of an array of one thread, 64 MB: far beyond its caches

double seconds(int threads, const std::function<void(int)>& work) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> team;
    for (int i = 1; i < threads; i++) team.emplace_back(work, i);
    work(0);
    for (auto& thread : team) thread.join();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int count, char** arguments) {
    const int threads = count > 1 ? std::max(1, std::atoi(arguments[1])) : int(std::thread::hardware_concurrency());
    double flops = 0;
    for (int round = 0; round < kRounds; round++) {
        const double time = seconds(threads, [](int) { lqf::bench::fma_loop(kFmaLoops); });
        flops = std::max(flops, threads * lqf::bench::fma_flop() * double(kFmaLoops) / time);
    }
    const auto team = size_t(threads);
    std::vector<std::vector<float>> a(team), b(team), c(team);
    seconds(threads, [&](int thread) {  // first touched by the thread that works on them
        for (auto* array : {&a, &b, &c}) (*array)[size_t(thread)].assign(kFloats, 1.0f);
    });
    double bytes = 0;
    for (int round = 0; round < kRounds; round++) {
        const double time = seconds(threads, [&](int thread) {
            float* out = a[size_t(thread)].data();
            const float *x = b[size_t(thread)].data(), *y = c[size_t(thread)].data();
            for (size_t i = 0; i < kFloats; i++) out[i] = x[i] + 0.5f * y[i];
        });
        bytes = std::max(bytes, threads * 3.0 * sizeof(float) * double(kFloats) / time);
    }
    std::printf("%.1f %.1f\n", flops / 1e9, bytes / 1e9);
}
