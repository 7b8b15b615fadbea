// Finds the libraries with device code. They are optional and lie beside this one; what is wrong with one is known for good after the first
// look.
#include <dlfcn.h>
#include <elf.h>

#include <cstring>
#include <fstream>
#include <map>
#include <mutex>

#include "engine.h"

namespace lqf {

namespace {

using DeviceOps = int32_t(int32_t version, uint64_t ops_bytes, const Ops** ops, char* text, int64_t capacity);

std::string directory_of_this_library() {
    Dl_info info{};
    if (!dladdr(reinterpret_cast<void*>(&lqf_abi_version), &info) || !info.dli_fname) return "";
    const std::string path = info.dli_fname;
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// The table, or null and why not.
struct Answer {
    const Ops* ops = nullptr;
    std::string reason;
};

// Whether a file of this length has all that its header names; linkers put the section headers last.
// NOTE: dlopen trusts the header, and of a file cut short the process dies by SIGBUS.
bool is_whole(std::istream& file, uint64_t bytes) {
    Elf64_Ehdr header{};
    return file.read(reinterpret_cast<char*>(&header), sizeof header) &&
           std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_shoff <= bytes &&
           uint64_t(header.e_shnum) * header.e_shentsize <= bytes - header.e_shoff;
}

Answer ask(const std::string& name) {
    Answer answer;
    const std::string file = "liblqf_" + name + ".so", path = directory_of_this_library() + file;
    std::ifstream stream(path, std::ios::binary | std::ios::ate);
    if (!stream) {
        answer.reason = "this build has no " + file + "; build it (README, CUDA) or use device cpu";
        return answer;
    }
    const auto bytes = uint64_t(stream.tellg());
    if (!is_whole(stream.seekg(0), bytes)) {
        answer.reason =
            file + ", " + std::to_string(bytes) + " bytes, is not a whole library; install or build it again";
        return answer;
    }
    // never closed: its objects live as long as the process
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char* error = dlerror();
        answer.reason =
            file + " does not load; install or build it again (" + (error ? error : "no reason given") + ")";
        return answer;
    }
    auto* device_ops = reinterpret_cast<DeviceOps*>(dlsym(library, "lqf_device_ops"));
    if (!device_ops) {
        answer.reason = file + " has no function lqf_device_ops, so it is another library; install or build it again";
        return answer;
    }
    char text[512] = "";
    if (device_ops(kOpsVersion, sizeof(Ops), &answer.ops, text, sizeof text) != LQF_OK) {
        answer.ops = nullptr;
        answer.reason = text;
    }
    return answer;
}

}  // namespace

const Ops& library_ops(const char* name) {
    static std::mutex mutex;
    static auto& answers = *new std::map<std::string, Answer>;
    std::lock_guard<std::mutex> lock(mutex);
    auto found = answers.find(name);
    if (found == answers.end()) found = answers.emplace(name, ask(name)).first;
    if (!found->second.ops) throw Error(LQF_UNAVAILABLE, found->second.reason);
    return *found->second.ops;
}

}  // namespace lqf
