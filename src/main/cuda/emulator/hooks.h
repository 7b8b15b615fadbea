// Where a checker may listen to the machine. Without one (LQF_EMULATOR_CHECKED not defined) these are nothing.
#ifndef LQF_EMULATOR_HOOKS_H
#define LQF_EMULATOR_HOOKS_H

#include "machine.h"

namespace lqf::emulator {

#if defined(LQF_EMULATOR_CHECKED)
#define LQF_HOOK(declaration) declaration;
#else
#define LQF_HOOK(declaration) \
    inline declaration {}
#endif

LQF_HOOK(void hook_launch(const char* /*kernel*/, uint64_t /*blocks*/))
LQF_HOOK(void hook_launch_end())
LQF_HOOK(void hook_block(uint3 /*block*/, unsigned /*threads*/))
LQF_HOOK(void hook_block_end())
LQF_HOOK(void hook_map_shared(unsigned char* /*memory*/, size_t /*bytes*/))
LQF_HOOK(void hook_unmap_shared())
LQF_HOOK(void hook_barrier())
LQF_HOOK(void hook_warp(unsigned /*warp*/, unsigned /*mask*/, WarpOp /*op*/))
LQF_HOOK(void hook_read(const void* /*memory*/, size_t /*bytes*/))
LQF_HOOK(void hook_copy(void* /*shared*/, unsigned /*bytes*/, const void* /*global*/, unsigned /*source_bytes*/))
LQF_HOOK(void hook_copy_pending(void* /*shared*/, unsigned /*bytes*/))
LQF_HOOK(void hook_allocate(void* /*memory*/, size_t /*bytes*/))
LQF_HOOK(void hook_release(void* /*memory*/))
LQF_HOOK(void hook_host_write(void* /*device*/, size_t /*bytes*/))

#undef LQF_HOOK

}  // namespace lqf::emulator
#endif
