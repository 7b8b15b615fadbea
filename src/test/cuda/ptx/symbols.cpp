// From a function's address to its mangled name, by the library's own symbol table: kernels live in anonymous namespaces, which dladdr
// does not know.
#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "ptx.h"

namespace lqf::ptx {

namespace {

const std::string kAnonymous = "12_GLOBAL__N_1";

// Names in anonymous namespaces are a file's own.
std::string in_file(std::string source, const std::string& name) {
    if (name.find(kAnonymous) == std::string::npos) return name;
    std::replace(source.begin(), source.end(), '.', '_');
    return name + " of " + source;
}

std::map<uint64_t, std::string> functions_of(const char* file) {
    std::ifstream stream(file, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    std::map<uint64_t, std::string> names;
    if (bytes.size() < sizeof(Elf64_Ehdr)) throw Failure(std::string("ptx: cannot read ") + file);
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(bytes.data());
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes.data() + header->e_shoff);
    for (int s = 0; s < header->e_shnum; s++) {
        if (sections[s].sh_type != SHT_SYMTAB) continue;
        const char* strings = bytes.data() + sections[sections[s].sh_link].sh_offset;
        const auto* symbols = reinterpret_cast<const Elf64_Sym*>(bytes.data() + sections[s].sh_offset);
        std::string source;
        for (size_t i = 0; i < sections[s].sh_size / sizeof(Elf64_Sym); i++) {
            const char* name = strings + symbols[i].st_name;
            if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FILE) source = name;  // of the local symbols that follow
            if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC) names[symbols[i].st_value] = in_file(source, name);
        }
    }
    if (names.empty()) throw Failure(std::string("ptx: no symbols in ") + file + "; do not strip it");
    return names;
}

}  // namespace

std::string mangled_name(const void* function) {
    Dl_info info{};
    if (!dladdr(function, &info) || !info.dli_fname) throw Failure("ptx: a kernel outside of any library");
    static const std::map<uint64_t, std::string> names = functions_of(info.dli_fname);
    const auto found = names.find(uint64_t(function) - uint64_t(info.dli_fbase));
    if (found == names.end()) throw Failure("ptx: a kernel without a symbol");
    return found->second;
}

// nvcc: 47_GLOBAL__N__08a1e5c7_14_spd_inverse_cu_7058e812, a length, a hash, the length of the file's name, the name, a hash.
std::string without_hash(const std::string& mangled) {
    static const std::string mark = "_GLOBAL__N__";
    std::string result = mangled, source;
    for (size_t at; (at = result.find(mark)) != std::string::npos;) {
        size_t digits = at;
        while (digits > 0 && isdigit(result[digits - 1])) digits--;
        const size_t length = std::stoul(result.substr(digits, at - digits));
        const size_t file_length = result.find('_', at + mark.size()) + 1, file = result.find('_', file_length) + 1;
        source = result.substr(file, std::stoul(result.substr(file_length)));
        result.replace(digits, at - digits + length, kAnonymous);
    }
    return in_file(source, result);
}

}  // namespace lqf::ptx
