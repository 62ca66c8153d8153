/* Any bytes as a frame whose headers are told. What lies behind the frame may not be read.
 *
 * Links: src/daemon/frame.c */
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame *frame = malloc(sizeof(*frame));
	json_t *lines, *hex;

	frame->bytes = size < FRAME_ROOM_BYTES ? (uint32_t)size : FRAME_ROOM_BYTES;
	memcpy(frame->byte, data, frame->bytes);
	ASAN_POISON_MEMORY_REGION(frame->byte + frame->bytes, FRAME_ROOM_BYTES - frame->bytes);
	lines = frame_headers(frame);
	hex = frame_hex(frame);
	if (json_string_length(hex) != frame->bytes * 2 || (frame->bytes >= 14) != (json_array_size(lines) > 0))
		abort();
	json_decref(lines);
	json_decref(hex);
	ASAN_UNPOISON_MEMORY_REGION(frame->byte, FRAME_ROOM_BYTES);
	free(frame);
	return 0;
}
