#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "memory.h"

namespace lqf::ptx {

namespace {

// Runs a thread until it ends or has to wait.
void advance(const Code& code, Block& block, Thread& t) {
    while (!t.done) {
        const Instruction& in = code.instructions[t.at];
        block.executed++;
        if (in.predicate >= 0 && (t.registers[size_t(in.predicate)] != 0) == in.negated) {
            t.at++;
            continue;
        }
        if (in.barrier || in.run_warp) {
            t.waits = in.barrier ? Waits::barrier : Waits::warp;
            return;
        }
        t.at++;
        in.run(block, t, in);
    }
}

// Runs the instructions for which all lanes of their mask have come; true if there was one.
bool advance_warp(const Code& code, Block& block, Thread* warp, unsigned size) {
    bool any = false;
    for (unsigned l = 0; l < size; l++) {
        if (warp[l].waits != Waits::warp) continue;
        const Instruction& in = code.instructions[warp[l].at];
        const auto mask = get<uint32_t>(warp[l], in.e);
        if (!(mask >> l & 1)) throw Failure("the calling lane is not in the mask: " + in.text);
        Thread* lanes[32] = {};
        bool all = true;
        for (unsigned k = 0; k < 32 && all; k++) {
            if (!(mask >> k & 1)) continue;
            if (k >= size || warp[k].done) throw Failure("the mask names a lane that is gone: " + in.text);
            lanes[k] = &warp[k];
            all = warp[k].waits == Waits::warp && warp[k].at == warp[l].at && get<uint32_t>(warp[k], in.e) == mask;
        }
        if (!all) continue;
        in.run_warp(block, lanes, mask, in);
        for (Thread* lane : lanes) {
            if (!lane) continue;
            lane->at++;
            lane->waits = Waits::no;
        }
        any = true;
    }
    return any;
}

void run_block(const Code& code, Block& block, std::vector<Thread>& threads) {
    while (true) {
        for (Thread& t : threads)
            if (t.waits == Waits::no) advance(code, block, t);
        bool any = false;
        for (size_t first = 0; first < threads.size(); first += 32)
            any |= advance_warp(code, block, &threads[first], unsigned(std::min<size_t>(32, threads.size() - first)));
        if (any) continue;
        const Thread* waiting = nullptr;
        for (const Thread& t : threads) {
            if (t.done) continue;
            const std::string& text = code.instructions[t.at].text;
            if (t.waits != Waits::barrier) throw Failure("stuck: lanes never come to " + text);
            if (waiting && waiting->at != t.at) throw Failure("threads of a block wait at different barriers: " + text);
            waiting = &t;
        }
        if (!waiting) return;
        for (Thread& t : threads) {
            if (t.done) continue;
            t.at++;
            t.waits = Waits::no;
        }
    }
}

struct Special {
    const char* name;
    uint32_t value;
};

// The compute capability in the name of a file that nvcc kept, NAME.compute_120.ptx; 0 where a build has only one.
int capability(const std::filesystem::path& file) {
    const std::string name = file.filename().string(), mark = ".compute_";
    const auto at = name.find(mark);
    return at == std::string::npos ? 0 : std::stoi(name.substr(at + mark.size()));
}

std::filesystem::path folder() {
    const char* name = std::getenv("LQF_PTX");
    if (!name) throw Failure("LQF_PTX does not name the folder of the .ptx files");
    return name;
}

// The newest PTX of every file.
std::vector<std::filesystem::path> newest_files() {
    std::vector<std::filesystem::path> files;
    int newest = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder())) {
        if (file.path().extension() != ".ptx") continue;
        files.push_back(file.path());
        newest = std::max(newest, capability(file.path()));
    }
    files.erase(std::remove_if(files.begin(), files.end(), [&](const auto& f) { return capability(f) != newest; }),
                files.end());
    return files;
}

std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void decode_all(const std::string& text, std::map<std::string, Code>& codes) {
    static std::vector<std::unique_ptr<std::vector<Entry>>> kept;  // code points into its entries
    kept.push_back(std::make_unique<std::vector<Entry>>(parse(text)));
    for (const Entry& entry : *kept.back()) codes.insert_or_assign(without_hash(entry.name), decode(entry));
}

std::map<std::string, Code> load_folder() {
    std::map<std::string, Code> codes;
    for (const auto& file : newest_files()) decode_all(text_of(file), codes);
    return codes;
}

}  // namespace

uint64_t run(const Code& code, dim3 grid, dim3 block_size, size_t shared_bytes,
             const std::vector<Argument>& arguments) {
    const Entry& entry = *code.entry;
    if (arguments.size() != entry.parameters.size())
        throw Failure(entry.name + ": " + std::to_string(arguments.size()) + " arguments, expected " +
                      std::to_string(entry.parameters.size()));
    Block block;
    block.parameters.resize(entry.parameter_bytes);
    for (size_t i = 0; i < arguments.size(); i++) {
        if (arguments[i].bytes != entry.parameters[i].bytes)
            throw Failure(entry.name + ": argument " + std::to_string(i) + " has another size");
        std::memcpy(block.parameters.data() + entry.parameters[i].offset, arguments[i].value, arguments[i].bytes);
    }
    const size_t count = size_t(block_size.x) * block_size.y * block_size.z;
    std::vector<Thread> threads(count);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block.shared.assign(shared_bytes, 0xff);
                for (size_t i = 0; i < count; i++) {
                    Thread& t = threads[i];
                    const auto linear = unsigned(i);
                    t = Thread{};
                    t.registers = code.registers;
                    t.local.assign(entry.local_bytes, 0xff);
                    t.lane = linear & 31;
                    const Special specials[] = {
                        {"%tid.x", linear % block_size.x},
                        {"%tid.y", linear / block_size.x % block_size.y},
                        {"%tid.z", linear / block_size.x / block_size.y},
                        {"%ctaid.x", x},
                        {"%ctaid.y", y},
                        {"%ctaid.z", z},
                        {"%ntid.x", block_size.x},
                        {"%ntid.y", block_size.y},
                        {"%ntid.z", block_size.z},
                        {"%nctaid.x", grid.x},
                        {"%nctaid.y", grid.y},
                        {"%nctaid.z", grid.z},
                        {"%laneid", t.lane},
                    };
                    for (const Special& special : specials) {
                        const auto slot = code.slots.find(special.name);
                        if (slot != code.slots.end()) set<uint32_t>(t, slot->second, special.value);
                    }
                }
                run_block(code, block, threads);
            }
    return block.executed;
}

namespace {

std::map<std::string, Code>& codes() {
    static std::map<std::string, Code> all = load_folder();
    return all;
}

struct Launched {
    size_t threads, shared_bytes;  // the most
};
std::map<std::string, Launched> have_run;

}  // namespace

std::vector<std::string> not_run() {
    std::vector<std::string> names;
    for (const auto& code : codes())
        if (!have_run.count(code.first)) names.push_back(code.first);
    return names;
}

void edit(const std::string& file, const std::function<std::string(const std::string&)>& change) {
    for (const auto& path : newest_files())
        if (path.filename().string().rfind(file + ".", 0) == 0) decode_all(change(text_of(path)), codes());
}

void write_launches() {
    std::ofstream file(folder() / "launches.csv");
    file << "kernel,threads,shared bytes\n";
    for (const auto& [name, launched] : have_run)
        file << codes().at(name).entry->name << ',' << launched.threads << ',' << launched.shared_bytes << '\n';
    if (!file.flush()) throw Failure("cannot write launches.csv");
}

void launch(const void* function, const char* kernel, dim3 grid, dim3 block, size_t shared_bytes,
            const std::vector<Argument>& arguments) {
    const auto found = codes().find(mangled_name(function));
    if (found == codes().end())
        throw Failure(std::string("no PTX of ") + kernel + " (" + mangled_name(function) + "); build it by nvcc first");
    Launched& most = have_run[found->first];
    most.threads = std::max(most.threads, size_t(block.x) * block.y * block.z);
    most.shared_bytes = std::max(most.shared_bytes, shared_bytes);
    try {
        run(found->second, grid, block, shared_bytes, arguments);
    } catch (const Failure& failure) {
        throw Failure(std::string(kernel) + ": " + failure.what());
    }
}

}  // namespace lqf::ptx
