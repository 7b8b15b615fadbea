// The findings of race.cpp.
#ifndef LQF_RACE_H
#define LQF_RACE_H

#include <map>
#include <string>
#include <vector>

#include "banks.h"

namespace lqf::emulator {

// What was found since the last call, one line each; the same pair of places once.
std::vector<std::string> take_findings();

// How kernels used the banks of shared memory since the last call, by the name that they were launched under.
std::map<std::string, BankUse> take_bank_uses();

}  // namespace lqf::emulator
#endif
