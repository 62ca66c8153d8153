/* The director's program, from its own source, in the wrapper that it is measured in. */
#include "../bpf/director.bpf.c"

__attribute__((noinline)) int bench_target(struct xdp_md *ctx)
{
	return director(ctx);
}

#include "wrapper.h"
