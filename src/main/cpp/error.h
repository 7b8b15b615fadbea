// What native code throws: turned into a status and a text at the C border. Back ends in libraries of their own throw it too.
#ifndef LQF_ERROR_H
#define LQF_ERROR_H

#include <cstdint>
#include <stdexcept>
#include <string>

namespace lqf {

struct Error : std::runtime_error {
    Error(int32_t status, const std::string& text) : std::runtime_error(text), status(status) {}
    int32_t status;  // LQF_INVALID ... of lqf.h
};

}  // namespace lqf
#endif
