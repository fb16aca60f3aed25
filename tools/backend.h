/* SPDX-License-Identifier: MIT */
/* The backend of the experiment: answers "ok\n" to "N\n" after N ms. */
#ifndef URT_BACKEND_H
#define URT_BACKEND_H

/* Serves for ever on a listening socket. */
_Noreturn void backend_serve(int listen_fd);

#endif
