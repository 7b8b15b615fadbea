// The team of threads: every task once, whoever sleeps, fails or calls again.
#include "threads.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

using namespace lqf;

namespace {
constexpr int kMost = 40;  // tasks of a call

// Runs a call and says whether each of its tasks ran once, by a thread of the team.
bool each_once(Threads& threads, int tasks, std::vector<int>& runs) {
    std::fill(runs.begin(), runs.end(), 0);
    std::atomic<int> strangers{0};
    threads.each(tasks, [&](int64_t task, int thread) {
        runs[size_t(task)]++;
        if (thread < 0 || thread >= threads.count() || Threads::current() != thread) strangers++;
    });
    for (int task = 0; task < kMost; task++) {
        if (runs[size_t(task)] != (task < tasks ? 1 : 0)) return false;
    }
    return strangers == 0;
}
}  // namespace

TEST_CASE("calls that follow one another run each task once, on more threads than there are processors too") {
    for (int count : {1, 2, 3, 16}) {
        CAPTURE(count);
        Threads threads(count);
        std::vector<int> runs(kMost);
        int wrong = 0;
        for (int call = 0; call < 5000; call++) wrong += each_once(threads, call * 7 % (kMost + 1), runs) ? 0 : 1;
        CHECK(wrong == 0);
    }
}

TEST_CASE("threads that have gone to sleep wake for a call") {
    Threads threads(16);
    std::vector<int> runs(kMost);
    for (int call = 0; call < 50; call++) {
        std::this_thread::sleep_for(
            std::chrono::microseconds(call % 2 ? 100 : 2000));  // just before they sleep, and well after
        CHECK(each_once(threads, call % (kMost + 1), runs));
    }
    // Tasks that wait for one another: all sixteen threads must come.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> there{0};
    threads.each(16, [&](int64_t, int) {
        there++;
        while (there < 16) std::this_thread::yield();
    });
    CHECK(there == 16);
}

TEST_CASE("who waits long for a task of another sleeps and is woken") {
    Threads threads(2);
    for (int call = 0; call < 20; call++) {
        std::atomic<int> there{0}, ended{0};
        threads.each(2, [&](int64_t, int thread) {
            there++;
            while (there < 2) std::this_thread::yield();
            if (thread > 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
            ended++;
        });
        CHECK(ended == 2);
    }
}

TEST_CASE("an exception is thrown by the call, after all tasks, and the next call is as any") {
    Threads threads(4);
    std::vector<int> runs(kMost);
    for (int call = 0; call < 100; call++) {
        std::atomic<int> ended{0};
        CHECK_THROWS_WITH_AS(threads.each(kMost,
                                          [&](int64_t task, int) {
                                              ended++;
                                              if (task % 9 == 4) throw std::runtime_error("task");
                                          }),
                             "task", std::runtime_error);
        CHECK(ended == kMost);
        CHECK(each_once(threads, kMost, runs));
    }
}

TEST_CASE("a call from inside a task runs there, on its thread") {
    Threads threads(3);
    std::atomic<int> inner{0}, elsewhere{0};
    threads.each(kMost, [&](int64_t, int thread) {
        const auto self = std::this_thread::get_id();
        threads.each(5, [&](int64_t, int nested) {
            inner++;
            if (nested != thread || std::this_thread::get_id() != self) elsewhere++;
        });
    });
    CHECK(inner == 5 * kMost);
    CHECK(elsewhere == 0);
}

TEST_CASE("a task may wait for what tasks with lower numbers do, on more threads than there are processors too") {
    for (int count : {1, 2, 3, 16}) {
        CAPTURE(count);
        Threads threads(count);
        std::atomic<int64_t> turn{0};
        threads.each(kMost, [&](int64_t task, int) {
            threads.wait_for([&] { return turn == task; });
            turn++;
        });
        CHECK(turn == kMost);
    }
}

TEST_CASE("who waits for a task that fails ends with it, and the call throws what that one threw") {
    for (int count : {1, 2, 3, 16}) {
        CAPTURE(count);
        Threads threads(count);
        std::vector<int> runs(kMost);
        for (int call = 0; call < 100; call++) {
            std::atomic<int64_t> turn{0};
            CHECK_THROWS_WITH_AS(threads.each(kMost,
                                              [&](int64_t task, int) {
                                                  threads.wait_for([&] { return turn == task; });
                                                  if (task == 7) throw std::runtime_error("seven");
                                                  turn++;
                                              }),
                                 "seven", std::runtime_error);
            CHECK(turn == 7);
            CHECK(each_once(threads, kMost, runs));
        }
    }
}

TEST_CASE("a call from inside a task shares its tasks with nobody") {
    Threads threads(3);
    CHECK(threads.sharing() == 3);
    std::atomic<int> others{0};
    threads.each(kMost, [&](int64_t, int) { others += threads.sharing() - 1; });
    CHECK(others == 0);
}
