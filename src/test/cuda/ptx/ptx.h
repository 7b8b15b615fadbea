// Runs the PTX that nvcc emitted, on the host: what the emulator cannot see is seen here, inline PTX and nvcc's own work included.
//
// One block at a time; a thread runs until it meets a barrier or an instruction of its whole warp. Memory is strict: every access is
// checked for alignment and against the allocations of the emulated device, shared memory starts as NaN, and cp.async data arrives at
// the wait that completes it. An instruction without semantics here fails when its kernel is first launched, by name.
// Left unseen: ptxas, the order of sums inside a tensor core, weak memory ordering.
#ifndef LQF_PTX_H
#define LQF_PTX_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulator/machine.h"

namespace lqf::ptx {

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// ---- text: what a .ptx file says

struct Parameter {
    std::string name;
    size_t offset, bytes;
};

// A .local or .shared array of a kernel.
struct Array {
    std::string name;
    size_t offset;
};

struct Entry {
    std::string name;  // mangled
    std::vector<Parameter> parameters;
    size_t parameter_bytes = 0;
    std::vector<Array> local_arrays;
    size_t local_bytes = 0;
    std::vector<std::string> shared_names;                   // of the one dynamic array, which begins at 0
    std::vector<std::string> statements;                     // without labels and declarations
    std::map<std::string, size_t> labels;                    // to the statement that follows
    std::map<std::string, std::vector<std::string>> tables;  // of brx.idx: labels
};

// All entries of a file. Throws Failure on what it cannot read: module variables, functions that are not inlined.
std::vector<Entry> parse(const std::string& text);

// ---- code: what a machine runs

constexpr uint64_t kSharedWindow = uint64_t(1)
                                   << 62;  // generic addresses of shared and local memory: none that a host uses
constexpr uint64_t kLocalWindow = uint64_t(1) << 61;

struct Copy {
    unsigned char* target;
    const unsigned char* source;
    unsigned bytes, source_bytes;
    int group;
};

enum class Waits { no, barrier, warp };

struct Thread {
    std::vector<uint64_t> registers;
    std::vector<unsigned char> local;
    std::vector<Copy> copies;  // cp.async in flight
    int group = 0;
    size_t at = 0;  // instruction
    unsigned lane = 0;
    bool done = false;
    Waits waits = Waits::no;
};

struct Block {
    std::vector<unsigned char> shared;
    std::vector<unsigned char> parameters;
    uint64_t executed = 0;
};

struct Instruction;
using Handler = void (*)(Block&, Thread&, const Instruction&);
using WarpHandler = void (*)(Block&, Thread* const* lanes, unsigned mask, const Instruction&);

enum class Space { generic, global, shared, local, parameter };

struct Instruction {
    std::string text;
    Handler run = nullptr;           // of one thread
    WarpHandler run_warp = nullptr;  // of the lanes that its mask names
    bool barrier = false;
    int predicate = -1;
    bool negated = false;
    // registers; what they mean is the handler's business
    int d = -1, p = -1, a = -1, b = -1, c = -1, e = -1;
    std::vector<int> d_list, a_list, b_list, c_list;
    int64_t offset = 0, offset2 = 0;
    Space space = Space::generic;
    size_t target = 0;  // of a branch
    std::vector<size_t> targets;
    int number = 0;  // an immediate: lut of lop3, groups of a wait, ...
};

struct Code {
    std::vector<Instruction> instructions;
    std::vector<uint64_t> registers;  // initial values: constants are registers that nobody writes
    std::map<std::string, int> slots;
    const Entry* entry;
};

Code decode(const Entry& entry);

// ---- launch

struct Argument {
    const void* value;
    size_t bytes;
};

// Runs a grid. Returns the instructions that its threads executed.
uint64_t run(const Code& code, dim3 grid, dim3 block, size_t shared_bytes, const std::vector<Argument>& arguments);

// Runs the PTX of a kernel that g++ compiled too: found by the mangled name of its function in *.ptx under the folder that the
// environment variable LQF_PTX names.
void launch(const void* function, const char* kernel, dim3 grid, dim3 block, size_t shared_bytes,
            const std::vector<Argument>& arguments);

// Kernels that launch found in the folder and has not run yet.
std::vector<std::string> not_run();

// Puts the kernels of one file, its PTX changed, in the place of those that are known: a test of this machine plants faults.
void edit(const std::string& file, const std::function<std::string(const std::string&)>& change);

// Writes launches.csv into the folder: every kernel that ran, as nvcc named it, its most threads a block and bytes of shared memory.
void write_launches();

// The mangled name of a function of this library; if it is in an anonymous namespace, with " of " and its file.
std::string mangled_name(const void* function);

// The same of a name from nvcc, which has file and hashes in its anonymous namespaces.
std::string without_hash(const std::string& mangled);

}  // namespace lqf::ptx
#endif
