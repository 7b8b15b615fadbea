// The findings of race.cpp.
#ifndef LQF_RACE_H
#define LQF_RACE_H

#include <string>
#include <vector>

namespace lqf::emulator {

// What was found since the last call, one line each; the same pair of places once.
std::vector<std::string> take_findings();

}  // namespace lqf::emulator
#endif
