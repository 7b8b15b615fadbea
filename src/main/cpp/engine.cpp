#include <string>

#include "lqf.h"

namespace {
thread_local std::string last_error;
}

int32_t lqf_abi_version(void) { return LQF_ABI_VERSION; }

const char* lqf_last_error(void) { return last_error.c_str(); }
