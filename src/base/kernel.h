/* The oldest kernel that all three programs are tested on (tests/e2e/test_guest_*.sh), for the errors that ask for one. */
#ifndef HP_BASE_KERNEL_H
#define HP_BASE_KERNEL_H

#define KERNEL_LEAST "6.1"

#endif
