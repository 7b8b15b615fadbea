// The arithmetic of PTX instructions on values of one type. ISA sections are those of NVIDIA's "PTX ISA 9.0".
#ifndef LQF_PTX_ARITHMETIC_H
#define LQF_PTX_ARITHMETIC_H

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace lqf::ptx {

template <typename To, typename From>
To bits_as(From value) {
    static_assert(sizeof(To) == sizeof(From), "same width");
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

template <typename T>
using unsigned_of = std::make_unsigned_t<std::conditional_t<std::is_integral_v<T>, T, int>>;

// Wraps as hardware does.
template <typename T>
T plus(T a, T b) {
    if constexpr (std::is_integral_v<T>)
        return T(unsigned_of<T>(a) + unsigned_of<T>(b));
    else
        return a + b;
}

template <typename T>
T minus(T a, T b) {
    if constexpr (std::is_integral_v<T>)
        return T(unsigned_of<T>(a) - unsigned_of<T>(b));
    else
        return a - b;
}

template <typename T>
T times(T a, T b) {
    if constexpr (sizeof(T) == 2 && std::is_integral_v<T>)
        return T(uint32_t(a) * uint32_t(b));
    else if constexpr (std::is_integral_v<T>)
        return T(unsigned_of<T>(a) * unsigned_of<T>(b));
    else
        return a * b;
}

template <typename T>
T high_product(T a, T b) {
    using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return T(Wide(a) * Wide(b) >> (8 * sizeof(T)));
}

// Division by zero is undefined in PTX; here it is a fault of the kernel, so the caller checks.
template <typename T>
T quotient(T a, T b) {
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
        if (b == T(-1)) return minus(T(0), a);
    return T(a / b);
}

template <typename T>
T remainder(T a, T b) {
    if constexpr (std::is_signed_v<T>)
        if (b == T(-1)) return 0;
    return T(a % b);
}

// min and max give the number where one operand is NaN (ISA 9.7.3).
template <typename T>
T lesser(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
        return std::fmin(a, b);
    else
        return a < b ? a : b;
}

template <typename T>
T greater(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
        return std::fmax(a, b);
    else
        return a > b ? a : b;
}

template <typename T>
T shifted_left(T a, uint32_t n) {
    return n >= 8 * sizeof(T) ? T(0) : T(a << n);
}

template <typename T>
T shifted_right(T a, uint32_t n) {
    const uint32_t width = 8 * sizeof(T);
    if (n >= width) return std::is_signed_v<T> && a < 0 ? T(-1) : T(0);
    return T(a >> n);
}

// Float to integer: saturates, NaN becomes 0 (ISA 9.7.9.21).
template <typename To, typename From>
To to_integer(From value) {
    if (std::isnan(value)) return 0;
    if (value >= From(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (value <= From(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return To(value);
}

// To nearest, ties away from zero, in 10 bits of fraction.
inline uint32_t to_tf32(float value) {
    uint32_t bits = bits_as<uint32_t>(value);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits += 0x1000u;
    return bits & 0xffffe000u;
}

// To nearest, ties to even.
inline uint16_t to_bf16(float value) {
    const uint32_t bits = bits_as<uint32_t>(value);
    if (std::isnan(value)) return 0x7fff;
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

inline float from_bf16(uint32_t bits) { return bits_as<float>(bits << 16); }

}  // namespace lqf::ptx
#endif
