/* The library's constructor, apart from all else so that unit tests do not start recording. */
#include "lifecycle.h"

__attribute__((constructor)) static void start(void)
{
	lifecycle_construct();
}
