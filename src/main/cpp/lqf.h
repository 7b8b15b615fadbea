// The C ABI of the engine: the only header Java sees.
#ifndef LQF_H
#define LQF_H

#include <stdint.h>

#define LQF_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

#define LQF_ABI_VERSION 1

/** The LQF_ABI_VERSION the library was built with. */
LQF_API int32_t lqf_abi_version(void);

/** Text of the last error on this thread; "" if none. Owned by the library, valid until the next call on this thread. */
LQF_API const char* lqf_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
