// Bank conflicts of shared memory, from the addresses that lanes of a warp name at one place of the code.
#ifndef LQF_BANKS_H
#define LQF_BANKS_H

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace lqf::emulator {

// Passes that a warp's accesses take, and those that they would take without a conflict.
struct BankUse {
    int64_t passes = 0, ideal = 0;
};

// Lanes meet where they name a place for the same time. A request of 4 bytes a lane is one pass, of 8 two and of 16 four, for 16 and 8
// lanes each; a pass goes again for every further word that a bank has to give.
class Banks {
public:
    void access(unsigned thread, const void* place, uintptr_t offset, size_t bytes) {
        const uint32_t time = times_[{thread, place}]++;
        Request& request = requests_[{place, thread / 32, time}];
        request.bytes = std::max(request.bytes, bytes);
        request.offset[thread % 32] = offset;
        request.lanes |= 1u << thread % 32;
    }

    void end_block(BankUse& use) {
        for (const auto& [key, request] : requests_) add(request, use);
        requests_.clear();
        times_.clear();
    }

private:
    struct Request {
        std::array<uintptr_t, 32> offset{};
        size_t bytes = 0;
        uint32_t lanes = 0;
    };

    static void add(const Request& request, BankUse& use) {
        const unsigned words = unsigned(std::max<size_t>(request.bytes / 4, 1)), together = 32 / words;
        for (unsigned first = 0; first < 32; first += together) {
            std::array<std::vector<uintptr_t>, 32> banks;
            for (unsigned lane = first; lane < first + together; lane++)
                for (unsigned word = 0; word < words && request.lanes >> lane & 1; word++) {
                    const uintptr_t at = request.offset[lane] / 4 + word;
                    std::vector<uintptr_t>& bank = banks[at % 32];
                    if (std::find(bank.begin(), bank.end(), at) == bank.end()) bank.push_back(at);
                }
            size_t most = 0;
            for (const auto& bank : banks) most = std::max(most, bank.size());
            use.passes += int64_t(most);
            use.ideal += most > 0;
        }
    }

    std::map<std::pair<unsigned, const void*>, uint32_t> times_;
    std::map<std::tuple<const void*, unsigned, uint32_t>, Request> requests_;
};

}  // namespace lqf::emulator
#endif
