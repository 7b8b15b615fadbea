#include <algorithm>
#include <functional>
#include <sstream>

#include "arithmetic.h"
#include "memory.h"

namespace lqf::ptx {

namespace {

std::string trimmed(const std::string& text) {
    const auto begin = text.find_first_not_of(" \t\r\n");
    if (begin == std::string::npos) return "";
    return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    int depth = 0;
    std::string part;
    for (char c : text) {
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        if (c == separator && depth == 0) {
            parts.push_back(trimmed(part));
            part.clear();
        } else {
            part += c;
        }
    }
    if (!trimmed(part).empty()) parts.push_back(trimmed(part));
    return parts;
}

// Calls body with a value of the C++ type of a PTX type; false if there is none.
template <typename Body>
bool with_type(const std::string& type, Body body) {
    if (type == "u8" || type == "b8")
        body(uint8_t());
    else if (type == "s8")
        body(int8_t());
    else if (type == "u16" || type == "b16")
        body(uint16_t());
    else if (type == "s16")
        body(int16_t());
    else if (type == "u32" || type == "b32")
        body(uint32_t());
    else if (type == "s32")
        body(int32_t());
    else if (type == "u64" || type == "b64")
        body(uint64_t());
    else if (type == "s64")
        body(int64_t());
    else if (type == "f32")
        body(float());
    else if (type == "f64")
        body(double());
    else
        return false;
    return true;
}

template <typename T>
constexpr bool is_float = std::is_floating_point_v<T>;

template <typename T>
constexpr bool is_small = sizeof(T) == 1;

// ---- handlers of one thread

template <typename T, T (*F)(T, T)>
void binary(Block&, Thread& t, const Instruction& in) {
    set<T>(t, in.d, F(get<T>(t, in.a), get<T>(t, in.b)));
}

template <typename T>
void divide(Block&, Thread& t, const Instruction& in) {
    const T b = get<T>(t, in.b);
    if constexpr (!is_float<T>)
        if (b == 0) throw Failure("division by zero: " + in.text);
    set<T>(t, in.d, quotient<T>(get<T>(t, in.a), b));
}

template <typename T>
void modulo(Block&, Thread& t, const Instruction& in) {
    const T b = get<T>(t, in.b);
    if (b == 0) throw Failure("division by zero: " + in.text);
    set<T>(t, in.d, remainder<T>(get<T>(t, in.a), b));
}

template <typename T, typename Wide>
void multiply_wide(Block&, Thread& t, const Instruction& in) {
    set<Wide>(t, in.d, Wide(Wide(get<T>(t, in.a)) * Wide(get<T>(t, in.b))));
}

template <typename T, typename Wide>
void multiply_add_wide(Block&, Thread& t, const Instruction& in) {
    set<Wide>(t, in.d, plus<Wide>(Wide(Wide(get<T>(t, in.a)) * Wide(get<T>(t, in.b))), get<Wide>(t, in.c)));
}

template <typename T>
void multiply_add(Block&, Thread& t, const Instruction& in) {
    set<T>(t, in.d, plus<T>(times<T>(get<T>(t, in.a), get<T>(t, in.b)), get<T>(t, in.c)));
}

template <typename T>
void multiply_add_high(Block&, Thread& t, const Instruction& in) {
    set<T>(t, in.d, plus<T>(high_product<T>(get<T>(t, in.a), get<T>(t, in.b)), get<T>(t, in.c)));
}

template <typename T>
void fused_multiply_add(Block&, Thread& t, const Instruction& in) {
    set<T>(t, in.d, std::fma(get<T>(t, in.a), get<T>(t, in.b), get<T>(t, in.c)));
}

template <typename T>
void move(Block&, Thread& t, const Instruction& in) {
    set<T>(t, in.d, get<T>(t, in.a));
}

template <typename T>
void select(Block&, Thread& t, const Instruction& in) {
    set<T>(t, in.d, get<T>(t, get<uint8_t>(t, in.c) ? in.a : in.b));
}

template <typename T>
void load(Block& block, Thread& t, const Instruction& in) {
    const uint64_t address = in.a < 0                    ? uint64_t(in.offset)  // a parameter by its name
                             : in.space == Space::shared ? uint64_t(get<uint32_t>(t, in.a) + uint32_t(in.offset))
                                                         : get<uint64_t>(t, in.a) + uint64_t(in.offset);
    const size_t count = in.d_list.size();
    const unsigned char* from = memory(block, t, in.space, address, sizeof(T) * count, in);
    for (size_t k = 0; k < count; k++) {
        T value;
        std::memcpy(&value, from + k * sizeof(T), sizeof(T));
        if constexpr (is_small<T> && std::is_signed_v<T>)
            set<int32_t>(t, in.d_list[k], value);  // a narrow value is widened to its register (ISA 9.7.9.8)
        else if constexpr (sizeof(T) == 2 && std::is_signed_v<T>)
            set<int32_t>(t, in.d_list[k], value);
        else
            set<T>(t, in.d_list[k], value);
    }
}

template <typename T>
void store(Block& block, Thread& t, const Instruction& in) {
    const uint64_t address = in.space == Space::shared ? uint64_t(get<uint32_t>(t, in.a) + uint32_t(in.offset))
                                                       : get<uint64_t>(t, in.a) + uint64_t(in.offset);
    const size_t count = in.d_list.size();
    unsigned char* to = memory(block, t, in.space, address, sizeof(T) * count, in);
    for (size_t k = 0; k < count; k++) {
        const T value = get<T>(t, in.d_list[k]);
        std::memcpy(to + k * sizeof(T), &value, sizeof(T));
    }
}

template <typename T, T (*F)(T, T)>
void atomic(Block& block, Thread& t, const Instruction& in) {
    const uint64_t address = in.space == Space::shared ? uint64_t(get<uint32_t>(t, in.a) + uint32_t(in.offset))
                                                       : get<uint64_t>(t, in.a) + uint64_t(in.offset);
    unsigned char* at = memory(block, t, in.space, address, sizeof(T), in);
    T old;
    std::memcpy(&old, at, sizeof old);
    const T now = F(old, get<T>(t, in.b));
    std::memcpy(at, &now, sizeof now);
    if (in.d >= 0) set<T>(t, in.d, old);
}

template <typename T>
bool holds(const std::string& relation, T a, T b) {
    const bool unordered = a != a || b != b;
    if (relation == "eq") return a == b;
    if (relation == "ne") return !unordered && a != b;
    if (relation == "lt" || relation == "lo") return a < b;
    if (relation == "le" || relation == "ls") return a <= b;
    if (relation == "gt" || relation == "hi") return a > b;
    if (relation == "ge" || relation == "hs") return a >= b;
    if (relation == "equ") return unordered || a == b;
    if (relation == "neu") return unordered || a != b;
    if (relation == "ltu") return unordered || a < b;
    if (relation == "leu") return unordered || a <= b;
    if (relation == "gtu") return unordered || a > b;
    if (relation == "geu") return unordered || a >= b;
    if (relation == "num") return !unordered;
    if (relation == "nan") return unordered;
    throw Failure("ptx: relation " + relation);
}

const char* const kRelations[] = {"eq", "ne",  "lt",  "le",  "gt",  "ge",  "lo",  "ls",  "hi",
                                  "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

// number = relation + 32 * (0 none, 1 and, 2 or, 3 xor) of the predicate c
template <typename T>
void compare(Block&, Thread& t, const Instruction& in) {
    bool result = holds<T>(kRelations[in.number & 31], get<T>(t, in.a), get<T>(t, in.b));
    auto combined = [&](bool value) {
        const bool other = in.c >= 0 && get<uint8_t>(t, in.c);
        switch (in.number >> 5) {
            case 1:
                return value && other;
            case 2:
                return value || other;
            case 3:
                return value != other;
            default:
                return value;
        }
    };
    set<uint8_t>(t, in.d, combined(result));
    if (in.p >= 0) set<uint8_t>(t, in.p, combined(!result));
}

template <typename To, typename From>
void convert(Block&, Thread& t, const Instruction& in) {
    const From value = get<From>(t, in.a);
    if constexpr (is_float<To> || !is_float<From>) {
        if constexpr (!is_float<To> && sizeof(To) < 4 && std::is_signed_v<To>)
            set<int32_t>(t, in.d, To(value));
        else
            set<To>(t, in.d, To(value));
    } else {
        From rounded = value;  // number: 0 towards zero, 1 to nearest even, 2 down, 3 up
        if (in.number == 1) rounded = std::nearbyint(value);
        if (in.number == 2) rounded = std::floor(value);
        if (in.number == 3) rounded = std::ceil(value);
        set<To>(t, in.d, to_integer<To>(rounded));
    }
}

// ---- handlers of a warp

void shuffle(Block&, Thread* const* lanes, unsigned mask, const Instruction& in) {
    uint32_t values[32] = {}, moved[32] = {};
    for (unsigned l = 0; l < 32; l++)
        if (mask >> l & 1) values[l] = get<uint32_t>(*lanes[l], in.a);
    bool inside[32] = {};
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        const auto b = get<uint32_t>(*lanes[l], in.b) & 31, c = get<uint32_t>(*lanes[l], in.c);
        const unsigned clamp = c & 31, segment = c >> 8 & 31;
        const unsigned most = (l & segment) | (clamp & ~segment), least = l & segment;
        int from = 0;
        switch (in.number) {  // 0 up, 1 down, 2 bfly, 3 idx
            case 0:
                from = int(l) - int(b), inside[l] = from >= int(most);
                break;
            case 1:
                from = int(l + b), inside[l] = from <= int(most);
                break;
            case 2:
                from = int(l ^ b), inside[l] = from <= int(most);
                break;
            default:
                from = int(least | (b & ~segment)), inside[l] = from <= int(most);
        }
        if (!inside[l]) from = int(l);
        if (!(mask >> from & 1)) throw Failure("shuffle from a lane outside of the mask: " + in.text);
        moved[l] = values[from];
    }
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        set<uint32_t>(*lanes[l], in.d, moved[l]);
        if (in.p >= 0) set<uint8_t>(*lanes[l], in.p, inside[l]);
    }
}

// number: 0 ballot, 1 any, 2 all
void vote(Block&, Thread* const* lanes, unsigned mask, const Instruction& in) {
    uint32_t ballot = 0;
    for (unsigned l = 0; l < 32; l++)
        if ((mask >> l & 1) && get<uint8_t>(*lanes[l], in.a) != uint8_t(in.offset)) ballot |= 1u << l;
    for (unsigned l = 0; l < 32; l++) {
        if (!(mask >> l & 1)) continue;
        if (in.number == 0) set<uint32_t>(*lanes[l], in.d, ballot);
        if (in.number == 1) set<uint8_t>(*lanes[l], in.d, ballot != 0);
        if (in.number == 2) set<uint8_t>(*lanes[l], in.d, ballot == mask);
    }
}

void meet(Block&, Thread* const*, unsigned, const Instruction&) {}

void whole_warp(unsigned mask, const Instruction& in) {
    if (mask != 0xffffffffu) throw Failure("not all lanes of the warp are here: " + in.text);
}

// Matrix m is given by the row addresses of lanes 8m … 8m+7; lane l gets the pair (row l/4, columns 2(l%4), 2(l%4)+1).
// number 1: transposed, lane l gets rows 2(l%4), 2(l%4)+1 of column l/4.
void load_matrix(Block& block, Thread* const* lanes, unsigned mask, const Instruction& in) {
    whole_warp(mask, in);
    auto row = [&](unsigned lane) {
        return memory(block, *lanes[lane], Space::shared, get<uint32_t>(*lanes[lane], in.a) + uint64_t(in.offset), 16,
                      in);
    };
    for (unsigned m = 0; m < in.d_list.size(); m++)
        for (unsigned l = 0; l < 32; l++) {
            uint32_t pair;
            if (in.number == 0) {
                std::memcpy(&pair, row(m * 8 + l / 4) + l % 4 * 4, 4);
            } else {
                uint16_t low, high;
                std::memcpy(&low, row(m * 8 + l % 4 * 2) + l / 4 * 2, 2);
                std::memcpy(&high, row(m * 8 + l % 4 * 2 + 1) + l / 4 * 2, 2);
                pair = low | uint32_t(high) << 16;
            }
            set<uint32_t>(*lanes[l], in.d_list[m], pair);
        }
}

// d [16,8] = a [16,K] b [K,8] + c, K = 8 tf32 or 16 bf16; fragments: ISA, "Matrix fragments for mma.m16n8k8 / k16".
void multiply_matrices(Block&, Thread* const* lanes, unsigned mask, const Instruction& in) {
    whole_warp(mask, in);
    const bool tf32 = in.number == 8;
    const unsigned depth = unsigned(in.number);
    auto element = [&](unsigned lane, int slot, unsigned high) {
        const auto bits = get<uint32_t>(*lanes[lane], slot);
        if (tf32) return bits_as<float>(bits & 0xffffe000u);  // the low 13 bits are not looked at
        return from_bf16(high ? bits >> 16 : bits & 0xffffu);
    };
    float a[16][16], b[16][8];
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < depth; k++)
            a[i][k] = tf32 ? element(i % 8 * 4 + k % 4, in.a_list[k / 4 * 2 + i / 8], 0)
                           : element(i % 8 * 4 + k % 8 / 2, in.a_list[k / 8 * 2 + i / 8], k & 1);
    for (unsigned k = 0; k < depth; k++)
        for (unsigned j = 0; j < 8; j++)
            b[k][j] = tf32 ? element(j * 4 + k % 4, in.b_list[k / 4], 0)
                           : element(j * 4 + k % 8 / 2, in.b_list[k / 8], k & 1);
    for (unsigned l = 0; l < 32; l++)
        for (unsigned r = 0; r < 4; r++) {
            const unsigned i = l / 4 + r / 2 * 8, j = l % 4 * 2 + r % 2;
            float sum = 0;
            for (unsigned k = 0; k < depth; k++) sum += a[i][k] * b[k][j];
            set<float>(*lanes[l], in.d_list[r], get<float>(*lanes[l], in.c_list[r]) + sum);
        }
}

// ---- from text

class Decoder {
public:
    explicit Decoder(const Entry& entry) : entry_(entry) { code_.entry = &entry; }

    Code decode() {
        for (const std::string& statement : entry_.statements) code_.instructions.push_back(instruction(statement));
        return std::move(code_);
    }

private:
    Failure unknown() const { return Failure("ptx: no semantics for \"" + text_ + "\" in " + entry_.name); }

    // The register of a name or of a constant.
    int slot(const std::string& operand) {
        const auto known = code_.slots.find(operand);
        if (known != code_.slots.end()) return known->second;
        const int slot = int(code_.registers.size());
        code_.registers.push_back(constant(operand));
        code_.slots[operand] = slot;
        return slot;
    }

    uint64_t constant(const std::string& text) const {
        if (text[0] == '%' || text == "_") return 0;
        if (text.rfind("0f", 0) == 0 || text.rfind("0F", 0) == 0) return std::stoull(text.substr(2), nullptr, 16);
        if (text.rfind("0d", 0) == 0 || text.rfind("0D", 0) == 0) return std::stoull(text.substr(2), nullptr, 16);
        for (const Array& array : entry_.local_arrays)
            if (array.name == text) return array.offset;
        for (const std::string& name : entry_.shared_names)
            if (name == text) return 0;
        for (const Parameter& parameter : entry_.parameters)
            if (parameter.name == text) return parameter.offset;
        if (text[0] == '-') return uint64_t(std::stoll(text));
        if (isdigit(text[0])) return std::stoull(text, nullptr, 0);
        if (text == "WARP_SZ") return 32;
        throw unknown();
    }

    std::vector<int> slots(std::string list) {
        if (!list.empty() && list.front() == '{') list = list.substr(1, list.size() - 2);
        std::vector<int> result;
        for (const std::string& one : split(list, ',')) result.push_back(slot(one));
        return result;
    }

    // "[%rd1+16]": the register, the offset into offset.
    int address(const std::string& operand, int64_t& offset) {
        std::string inside = operand.substr(1, operand.size() - 2);
        const size_t plus = inside.find('+');
        offset = 0;
        if (plus != std::string::npos) {
            offset = std::stoll(inside.substr(plus + 1));
            inside = inside.substr(0, plus);
        }
        return slot(trimmed(inside));
    }

    Instruction instruction(const std::string& statement) {
        Instruction in;
        text_ = in.text = statement;
        std::string rest = statement;
        if (rest[0] == '@') {
            in.negated = rest[1] == '!';
            const size_t blank = rest.find_first_of(" \t");
            in.predicate = slot(rest.substr(in.negated ? 2 : 1, blank - (in.negated ? 2 : 1)));
            rest = trimmed(rest.substr(blank));
        }
        const size_t blank = std::min(rest.find_first_of(" \t"), rest.size());
        name_ = rest.substr(0, blank);
        parts_ = split(name_, '.');
        operands_ = split(rest.substr(blank), ',');
        if (!control(in) && !transport(in) && !collective(in) && !arithmetic(in)) throw unknown();
        return in;
    }

    bool has(const std::string& part) const { return std::find(parts_.begin(), parts_.end(), part) != parts_.end(); }
    bool starts(const std::string& prefix) const { return name_.rfind(prefix, 0) == 0; }

    size_t label(const std::string& name) const {
        const auto found = entry_.labels.find(name);
        if (found == entry_.labels.end()) throw unknown();
        return found->second;
    }

    bool control(Instruction& in) {
        const std::string& op = parts_[0];
        if (op == "ret" || op == "exit") {
            in.run = [](Block&, Thread& t, const Instruction&) { t.done = true; };
        } else if (op == "bra") {
            in.target = label(operands_[0]);
            in.run = [](Block&, Thread& t, const Instruction& i) { t.at = i.target; };
        } else if (op == "brx") {
            in.a = slot(operands_[0]);
            for (const std::string& name : entry_.tables.at(operands_[1])) in.targets.push_back(label(name));
            in.run = [](Block&, Thread& t, const Instruction& i) {
                const auto index = get<uint32_t>(t, i.a);
                if (index >= i.targets.size()) throw Failure("branch beyond its table: " + i.text);
                t.at = i.targets[index];
            };
        } else if (name_ == "bar.sync" || name_ == "barrier.sync" || name_ == "barrier.sync.aligned") {
            if (operands_ != std::vector<std::string>{"0"}) throw unknown();
            in.barrier = true;
        } else if (op == "membar" || op == "fence") {
            in.run = [](Block&, Thread&, const Instruction&) {};
        } else {
            return false;
        }
        return true;
    }

    Space space() const {
        if (has("param")) return Space::parameter;
        if (has("shared")) return Space::shared;
        if (has("local")) return Space::local;
        if (has("global")) return Space::global;
        return Space::generic;
    }

    bool transport(Instruction& in) {
        const std::string &op = parts_[0], &type = parts_.back();
        if (op == "ld" || op == "ldu") {
            in.space = space();
            in.d_list = slots(operands_[0]);
            if (in.space == Space::parameter && operands_[1][1] != '%')
                in.offset = parameter(operands_[1]);
            else
                in.a = address(operands_[1], in.offset);
            return with_type(type, [&](auto t) { in.run = load<decltype(t)>; });
        }
        if (op == "st") {
            in.space = space();
            in.d_list = slots(operands_[1]);
            in.a = address(operands_[0], in.offset);
            return with_type(type, [&](auto t) { in.run = store<decltype(t)>; });
        }
        if (op == "atom" || op == "red") {
            const bool returns = op == "atom";
            in.space = space();
            if (returns) in.d = slot(operands_[0]);
            in.a = address(operands_[returns], in.offset);
            in.b = slot(operands_[returns + 1]);
            return with_type(type,
                             [&](auto t) {
                                 using T = decltype(t);
                                 if (has("add")) in.run = atomic<T, plus<T>>;
                                 if (has("max")) in.run = atomic<T, greater<T>>;
                                 if (has("min")) in.run = atomic<T, lesser<T>>;
                             }) &&
                   in.run;
        }
        if (name_ == "cp.async.commit_group") {
            in.run = [](Block&, Thread& t, const Instruction&) { t.group++; };
            return true;
        }
        if (name_ == "cp.async.wait_group" || name_ == "cp.async.wait_all") {
            in.number = operands_.empty() ? -1 : std::stoi(operands_[0]);
            in.run = [](Block&, Thread& t, const Instruction& i) {
                auto arrived = [&](const Copy& copy) {
                    if (i.number >= 0 && copy.group >= t.group - i.number) return false;
                    std::memset(copy.target, 0, copy.bytes);
                    std::memcpy(copy.target, copy.source, copy.source_bytes);
                    return true;
                };
                t.copies.erase(std::remove_if(t.copies.begin(), t.copies.end(), arrived), t.copies.end());
            };
            return true;
        }
        if (starts("cp.async.c")) {
            in.a = address(operands_[0], in.offset);
            in.b = address(operands_[1], in.offset2);
            in.number = std::stoi(operands_[2]);
            in.c = operands_.size() > 3 ? slot(operands_[3]) : -1;
            in.run = [](Block& block, Thread& t, const Instruction& i) {
                const auto bytes = unsigned(i.number);
                const unsigned source_bytes = i.c < 0 ? bytes : get<uint32_t>(t, i.c);
                unsigned char* target =
                    memory(block, t, Space::shared, get<uint32_t>(t, i.a) + uint64_t(i.offset), bytes, i);
                const uint64_t from = get<uint64_t>(t, i.b) + uint64_t(i.offset2);
                const unsigned char* source = nullptr;
                if (source_bytes == bytes)
                    source = memory(block, t, Space::global, from, bytes, i);
                else if (source_bytes > bytes || (source_bytes && from % bytes))
                    throw Failure("cp.async: " + i.text);
                else
                    source = reinterpret_cast<const unsigned char*>(from);
                std::memset(target, 0xff, bytes);  // undefined until the wait
                t.copies.push_back({target, source, bytes, source_bytes, t.group});
            };
            return true;
        }
        return false;
    }

    int64_t parameter(const std::string& operand) const {
        const std::string inside = operand.substr(1, operand.size() - 2);
        const size_t plus = inside.find('+');
        const std::string name = inside.substr(0, plus);
        for (const Parameter& parameter : entry_.parameters)
            if (parameter.name == name)
                return int64_t(parameter.offset) +
                       (plus == std::string::npos ? 0 : std::stoll(inside.substr(plus + 1)));
        throw unknown();
    }

    bool collective(Instruction& in) {
        if (starts("shfl.sync")) {
            const std::vector<std::string> results = split(operands_[0], '|');
            in.d = slot(results[0]);
            if (results.size() > 1) in.p = slot(results[1]);
            in.a = slot(operands_[1]), in.b = slot(operands_[2]), in.c = slot(operands_[3]), in.e = slot(operands_[4]);
            in.number = has("up") ? 0 : has("down") ? 1 : has("bfly") ? 2 : 3;
            in.run_warp = shuffle;
        } else if (starts("vote.sync")) {
            in.d = slot(operands_[0]);
            in.offset = operands_[1][0] == '!';
            in.a = slot(operands_[1].substr(size_t(in.offset)));
            in.e = slot(operands_[2]);
            in.number = has("ballot") ? 0 : has("any") ? 1 : has("all") ? 2 : throw unknown();
            in.run_warp = vote;
        } else if (starts("bar.warp.sync")) {
            in.e = slot(operands_[0]);
            in.run_warp = meet;
        } else if (starts("ldmatrix.sync.aligned.m8n8")) {
            in.d_list = slots(operands_[0]);
            in.a = address(operands_[1], in.offset);
            in.e = slot("-1");
            in.number = has("trans");
            in.run_warp = load_matrix;
        } else if (name_ == "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" ||
                   name_ == "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32") {
            in.d_list = slots(operands_[0]), in.a_list = slots(operands_[1]);
            in.b_list = slots(operands_[2]), in.c_list = slots(operands_[3]);
            in.e = slot("-1");
            in.number = has("m16n8k8") ? 8 : 16;
            in.run_warp = multiply_matrices;
        } else {
            return false;
        }
        return true;
    }

    bool arithmetic(Instruction& in) {
        const std::string &op = parts_[0], &type = parts_.back();
        if (op == "setp") return comparison(in);
        if (op == "cvt" || op == "cvta") return conversion(in);
        if (op == "mov" && (operands_[0][0] == '{' || operands_[1][0] == '{')) return repacking(in);
        if (operands_.empty()) return false;
        in.d = slot(operands_[0]);
        int* const sources[] = {&in.a, &in.b, &in.c, &in.e};
        for (size_t i = 1; i < operands_.size() && i <= 4; i++) *sources[i - 1] = slot(operands_[i]);
        if (type == "pred") return logic<bool>(in);
        if (has("ftz") || has("sat") || has("approx")) return false;  // kernels ask for IEEE arithmetic
        if (bit_fields(in)) return true;
        bool typed = with_type(type, [&](auto t) {
            using T = decltype(t);
            if constexpr (!is_small<T>) {
                if (op == "mov") in.run = move<T>;
                if (op == "selp") in.run = select<T>;
                if (op == "add") in.run = binary<T, plus<T>>;
                if (op == "sub") in.run = binary<T, minus<T>>;
                if (op == "min") in.run = binary<T, lesser<T>>;
                if (op == "max") in.run = binary<T, greater<T>>;
                if (op == "div") in.run = divide<T>;
                if (op == "neg")
                    in.run = [](Block&, Thread& x, const Instruction& i) {
                        set<T>(x, i.d, is_float<T> ? T(-get<T>(x, i.a)) : minus<T>(T(0), get<T>(x, i.a)));
                    };
                if (op == "abs")
                    in.run = [](Block&, Thread& x, const Instruction& i) {
                        const T a = get<T>(x, i.a);
                        if constexpr (is_float<T>)
                            set<T>(x, i.d, std::fabs(a));
                        else
                            set<T>(x, i.d, a < T(0) ? minus<T>(T(0), a) : a);
                    };
                if constexpr (is_float<T>) {
                    if (op == "mul") in.run = binary<T, times<T>>;
                    if (op == "fma" && has("rn")) in.run = fused_multiply_add<T>;
                    if (op == "sqrt" && has("rn"))
                        in.run = [](Block&, Thread& x, const Instruction& i) {
                            set<T>(x, i.d, std::sqrt(get<T>(x, i.a)));
                        };
                    if (op == "rcp" && has("rn"))
                        in.run = [](Block&, Thread& x, const Instruction& i) { set<T>(x, i.d, T(1) / get<T>(x, i.a)); };
                } else {
                    products<T>(in);
                    if (op == "rem") in.run = modulo<T>;
                    if (op == "shl")
                        in.run = [](Block&, Thread& x, const Instruction& i) {
                            set<T>(x, i.d, shifted_left<T>(get<T>(x, i.a), get<uint32_t>(x, i.b)));
                        };
                    if (op == "shr")
                        in.run = [](Block&, Thread& x, const Instruction& i) {
                            set<T>(x, i.d, shifted_right<T>(get<T>(x, i.a), get<uint32_t>(x, i.b)));
                        };
                    if (op == "and" || op == "or" || op == "xor" || op == "not") logic<T>(in);
                }
            }
        });
        return typed && in.run;
    }

    template <typename T>
    void products(Instruction& in) {
        const bool sum = parts_[0] == "mad";
        if (parts_[0] != "mul" && !sum) return;
        if (has("wide")) {
            using Wide = std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                                            std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;
            if constexpr (sizeof(T) < 8) in.run = sum ? multiply_add_wide<T, Wide> : multiply_wide<T, Wide>;
        } else if (has("hi")) {
            in.run = sum ? multiply_add_high<T> : binary<T, high_product<T>>;
        } else if (has("lo")) {
            in.run = sum ? multiply_add<T> : binary<T, times<T>>;
        }
    }

    template <typename T>
    bool logic(Instruction& in) {
        const std::string& op = parts_[0];
        using Bits = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
        if (op == "and")
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<Bits>(t, i.d, Bits(get<Bits>(t, i.a) & get<Bits>(t, i.b)));
            };
        if (op == "or")
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<Bits>(t, i.d, Bits(get<Bits>(t, i.a) | get<Bits>(t, i.b)));
            };
        if (op == "xor")
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<Bits>(t, i.d, Bits(get<Bits>(t, i.a) ^ get<Bits>(t, i.b)));
            };
        if (op == "not")
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<Bits>(t, i.d, std::is_same_v<T, bool> ? Bits(!get<Bits>(t, i.a)) : Bits(~get<Bits>(t, i.a)));
            };
        if (op == "mov") in.run = [](Block&, Thread& t, const Instruction& i) { set<Bits>(t, i.d, get<Bits>(t, i.a)); };
        return bool(in.run);
    }

    bool bit_fields(Instruction& in) {
        if (name_ == "bfi.b32" || name_ == "bfi.b64") {
            in.number = name_ == "bfi.b32" ? 32 : 64;
            in.run = [](Block&, Thread& t, const Instruction& i) {
                const uint32_t at = get<uint32_t>(t, i.c) & 255, length = get<uint32_t>(t, i.e) & 255;
                uint64_t mask = length >= 64 ? ~uint64_t(0) : (uint64_t(1) << length) - 1;
                mask = at >= 64 ? 0 : mask << at;
                const uint64_t field = at >= 64 ? 0 : get<uint64_t>(t, i.a) << at;
                const uint64_t value = (field & mask) | (get<uint64_t>(t, i.b) & ~mask);
                if (i.number == 32)
                    set<uint32_t>(t, i.d, uint32_t(value));
                else
                    set<uint64_t>(t, i.d, value);
            };
        } else if (name_ == "bfe.u32" || name_ == "bfe.s32") {
            in.number = name_ == "bfe.s32";
            in.run = [](Block&, Thread& t, const Instruction& i) {
                const uint32_t at = get<uint32_t>(t, i.b) & 255, length = get<uint32_t>(t, i.c) & 255;
                const auto a = get<uint32_t>(t, i.a);
                uint32_t field = shifted_right<uint32_t>(a, at);
                if (length < 32) field &= (1u << length) - 1;
                if (i.number && length > 0) {
                    const uint32_t sign = a >> std::min<uint32_t>(at + length - 1, 31) & 1;
                    if (sign && length < 32) field |= ~((1u << length) - 1);
                }
                set<uint32_t>(t, i.d, field);
            };
        } else if (starts("shf.")) {
            in.number = (has("l") ? 0 : 1) + (has("wrap") ? 0 : 2);
            in.run = [](Block&, Thread& t, const Instruction& i) {
                uint32_t n = get<uint32_t>(t, i.c);
                n = i.number & 2 ? std::min(n, 32u) : n & 31;
                const uint64_t both = uint64_t(get<uint32_t>(t, i.b)) << 32 | get<uint32_t>(t, i.a);
                set<uint32_t>(t, i.d, uint32_t(i.number & 1 ? both >> n : (both << n) >> 32));
            };
        } else if (name_ == "prmt.b32") {
            in.run = [](Block&, Thread& t, const Instruction& i) {
                const uint64_t bytes = uint64_t(get<uint32_t>(t, i.b)) << 32 | get<uint32_t>(t, i.a);
                uint32_t value = 0;
                for (int k = 0; k < 4; k++) {
                    const uint32_t choice = get<uint32_t>(t, i.c) >> (4 * k);
                    uint32_t byte = uint32_t(bytes >> (8 * (choice & 7))) & 255;
                    if (choice & 8) byte = byte & 128 ? 255 : 0;
                    value |= byte << (8 * k);
                }
                set<uint32_t>(t, i.d, value);
            };
        } else if (name_ == "lop3.b32") {
            in.number = std::stoi(operands_[4], nullptr, 0);
            in.run = [](Block&, Thread& t, const Instruction& i) {
                const auto a = get<uint32_t>(t, i.a), b = get<uint32_t>(t, i.b), c = get<uint32_t>(t, i.c);
                uint32_t value = 0;
                for (int k = 0; k < 8; k++)
                    if (i.number >> k & 1) value |= (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
                set<uint32_t>(t, i.d, value);
            };
        } else if (name_ == "popc.b32") {
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<uint32_t>(t, i.d, uint32_t(__builtin_popcount(get<uint32_t>(t, i.a))));
            };
        } else if (name_ == "clz.b32") {
            in.run = [](Block&, Thread& t, const Instruction& i) {
                const auto a = get<uint32_t>(t, i.a);
                set<uint32_t>(t, i.d, a ? uint32_t(__builtin_clz(a)) : 32);
            };
        } else {
            return false;
        }
        return true;
    }

    bool comparison(Instruction& in) {
        const std::vector<std::string> results = split(operands_[0], '|');
        in.d = slot(results[0]);
        if (results.size() > 1) in.p = slot(results[1]);
        in.a = slot(operands_[1]), in.b = slot(operands_[2]);
        const auto* relation = std::find(std::begin(kRelations), std::end(kRelations), parts_[1]);
        if (relation == std::end(kRelations)) return false;
        in.number = int(relation - kRelations);
        if (operands_.size() > 3) {
            in.c = slot(operands_[3]);
            in.number += 32 * (has("and") ? 1 : has("or") ? 2 : has("xor") ? 3 : throw unknown());
        }
        return with_type(parts_.back(), [&](auto t) { in.run = compare<decltype(t)>; });
    }

    bool conversion(Instruction& in) {
        in.d = slot(operands_[0]);
        in.a = slot(operands_[1]);
        if (parts_[0] == "cvta") {
            if (has("local") && !has("to"))
                in.run = [](Block&, Thread& t, const Instruction& i) {
                    set<uint64_t>(t, i.d, get<uint64_t>(t, i.a) | kLocalWindow);
                };
            else if (has("shared") && has("to"))
                in.run = [](Block&, Thread& t, const Instruction& i) {
                    if (!(get<uint64_t>(t, i.a) & kSharedWindow)) throw Failure("not a shared address: " + i.text);
                    set<uint64_t>(t, i.d, get<uint64_t>(t, i.a) & ~kSharedWindow);
                };
            else if (has("shared"))
                in.run = [](Block&, Thread& t, const Instruction& i) {
                    set<uint64_t>(t, i.d, get<uint64_t>(t, i.a) | kSharedWindow);
                };
            else
                in.run = move<uint64_t>;  // global addresses are generic ones
            return true;
        }
        if (name_ == "cvt.rna.tf32.f32") {
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<uint32_t>(t, i.d, to_tf32(get<float>(t, i.a)));
            };
            return true;
        }
        if (name_ == "cvt.rn.bf16.f32") {
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<uint16_t>(t, i.d, to_bf16(get<float>(t, i.a)));
            };
            return true;
        }
        if (name_ == "cvt.rn.bf16x2.f32") {  // the first source is the high half
            in.b = slot(operands_[2]);
            in.run = [](Block&, Thread& t, const Instruction& i) {
                set<uint32_t>(t, i.d, uint32_t(to_bf16(get<float>(t, i.a))) << 16 | to_bf16(get<float>(t, i.b)));
            };
            return true;
        }
        if (has("ftz") || has("sat")) return false;
        const std::string &to = parts_[parts_.size() - 2], &from = parts_.back();
        in.number = has("rni") ? 1 : has("rmi") ? 2 : has("rpi") ? 3 : 0;
        if (has("rz") || has("rm") || has("rp")) return false;
        bool known = false;
        with_type(
            to, [&](auto t) { known = with_type(from, [&](auto f) { in.run = convert<decltype(t), decltype(f)>; }); });
        return known;
    }

    // mov.b64 {%r1,%r2}, %rd1 and its reverse.
    bool repacking(Instruction& in) {
        const bool unpacks = operands_[0][0] == '{';
        in.d_list = slots(operands_[unpacks ? 0 : 1]);
        in.a = slot(operands_[unpacks ? 1 : 0]);
        const std::string& type = parts_.back();
        const int width = type == "b64" ? 64 : type == "b32" ? 32 : 0;
        in.number = width / int(in.d_list.size());
        if (in.number != 16 && in.number != 32) return false;
        if (unpacks)
            in.run = [](Block&, Thread& t, const Instruction& i) {
                const auto all = get<uint64_t>(t, i.a);
                for (size_t k = 0; k < i.d_list.size(); k++)
                    set<uint64_t>(t, i.d_list[k], all >> (k * unsigned(i.number)) & ((uint64_t(1) << i.number) - 1));
            };
        else
            in.run = [](Block&, Thread& t, const Instruction& i) {
                uint64_t all = 0;
                for (size_t k = 0; k < i.d_list.size(); k++)
                    all |= (get<uint64_t>(t, i.d_list[k]) & ((uint64_t(1) << i.number) - 1))
                           << (k * unsigned(i.number));
                set<uint64_t>(t, i.a, all);
            };
        return true;
    }

    const Entry& entry_;
    Code code_;
    std::string text_, name_;
    std::vector<std::string> parts_, operands_;
};

}  // namespace

Code decode(const Entry& entry) { return Decoder(entry).decode(); }

}  // namespace lqf::ptx
