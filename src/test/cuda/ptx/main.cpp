// The tests, and after all of them: no kernel may be left that never ran.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "ptx.h"

int main(int count, char** arguments) {
    const int failed = doctest::Context(count, arguments).run();
    if (failed || count > 1) return failed;
    const auto left = lqf::ptx::not_run();
    for (const std::string& name : left) std::printf("never ran: %s\n", name.c_str());
    lqf::ptx::write_launches();
    return left.empty() ? 0 : 1;
}
