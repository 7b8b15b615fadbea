#include <doctest/doctest.h>

#include <string>
#include <thread>

#include "lqf.h"

TEST_CASE("library was built from this header") { CHECK(lqf_abi_version() == LQF_ABI_VERSION); }

TEST_CASE("a fresh thread has no error") {
    lqf_engine* engine = nullptr;
    CHECK(lqf_engine_open("no such device", 1, 2, &engine) != LQF_OK);
    CHECK(!std::string(lqf_last_error()).empty());
    std::string text = "not asked";
    std::thread([&] { text = lqf_last_error(); }).join();
    CHECK(text.empty());
}
