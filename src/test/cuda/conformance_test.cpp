// Every function of ptx.cuh, and what stands in for one, does what the PTX ISA says, bit for bit: rounding and moving are exact, and products of small integers have one
// sum in any order. The same kernels run as C++ on the emulator, as PTX in the interpreter and as machine code on a GPU.
#include "conformance/conformance.h"

#include <doctest/doctest.h>

namespace lqf::gpu::conformance {
namespace {

void check(Wrapper wrapper) {
    const Case c = case_of(wrapper);
    CHECK(run(wrapper, c.in) == c.expected);
}

}  // namespace

TEST_CASE("cp.async copies or zeroes sixteen bytes, and its groups arrive in order") { check(Wrapper::kCopyAsync); }
TEST_CASE("ldmatrix gives every lane its words of the rows that lanes name") { check(Wrapper::kLoadMatrix); }
TEST_CASE("ldmatrix.trans gives every lane elements of two rows") { check(Wrapper::kLoadTransposed); }
TEST_CASE("cvt.rna.tf32 rounds to ten bits of fraction") { check(Wrapper::kToTf32); }
TEST_CASE("two instructions round to tf32 as cvt does") { check(Wrapper::kTf32ForMma); }
TEST_CASE("cvt.rn.bf16x2 rounds to seven bits of fraction") { check(Wrapper::kToBf16); }
TEST_CASE("mma multiplies tf32 matrices, whatever their thirteen lowest bits are") { check(Wrapper::kMmaTf32); }
TEST_CASE("mma multiplies bf16 matrices") { check(Wrapper::kMmaBf16); }
TEST_CASE("shuffles move words and doubles between lanes") { check(Wrapper::kShuffle); }

}  // namespace lqf::gpu::conformance
