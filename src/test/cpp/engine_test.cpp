#include <doctest/doctest.h>

#include <string>

#include "lqf.h"

TEST_CASE("library was built from this header") { CHECK(lqf_abi_version() == LQF_ABI_VERSION); }

TEST_CASE("a fresh thread has no error") { CHECK(std::string(lqf_last_error()).empty()); }
