// Two functions of libtorch that its Java binding does not have, for Torch.java. at::Tensor is one pointer, returned through a hidden one.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <jni.h>
#include <stdint.h>

static void* symbol(const char* name) {
    void* torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);  // loaded by JavaCPP before
    return torch ? dlsym(torch, name) : 0;
}

typedef void (*make_dual)(void* out, const void* primal, const void* tangent, int64_t level);
typedef void (*unpack_dual)(void* out, const void* dual, int64_t level);

JNIEXPORT void JNICALL Java_org_lqf_bench_peers_Torch_makeDual(JNIEnv* env, jclass type, jlong out, jlong primal,
                                                               jlong tangent, jlong level) {
    void* result[1];
    (void)env, (void)type;
    ((make_dual)symbol("_ZN2at4_ops10_make_dual4callERKNS_6TensorES4_l"))(result, (void*)primal, (void*)tangent, level);
    *(void**)out = result[0];
}

JNIEXPORT void JNICALL Java_org_lqf_bench_peers_Torch_unpackDual(JNIEnv* env, jclass type, jlong primal, jlong tangent,
                                                                 jlong dual, jlong level) {
    void* result[2];  // a std::tuple of libstdc++ stores its elements in reverse order
    (void)env, (void)type;
    ((unpack_dual)symbol("_ZN2at4_ops12_unpack_dual4callERKNS_6TensorEl"))(result, (void*)dual, level);
    *(void**)tangent = result[0];
    *(void**)primal = result[1];
}
