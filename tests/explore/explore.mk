# SPDX-License-Identifier: MIT
# The runtime's sources, compiled so that each access to memory calls the
# explorer, by the calls of -fsanitize=thread. Their variables go to sections of
# their own, which are set back before each execution. Calls that would wait in
# the kernel go to the explorer's model of it.
X        := build/explore
X_ENGINE := $(patsubst %,$(X)/tests/explore/%.o,main search engine memory hooks \
            arena sites report lists outcomes survey)
X_MODEL  := $(patsubst %,$(X)/tests/explore/%.o,kernel kring kmonitor kprocess)
X_SEEN   := $(patsubst %.c,$(X)/%.o,$(filter-out uring_rt/base/sys.c \
            uring_rt/base/assist.c uring_rt/watch/locks.c uring_rt/watch/symbols.c,$(filter %.c,$(LIB_SRC))) \
            tests/explore/world.c $(wildcard tests/explore/*_explore.c))
X_CFLAGS := -std=gnu17 -g $(WARN) -fno-pie -fno-omit-frame-pointer \
            -D_FILE_OFFSET_BITS=64 $(if $(filter x86_64,$(ARCH)),-fcf-protection=none)
X_RENAME := memcpy memset free:k_free syscall sched_yield \
            pthread_mutex_lock:k_mutex_lock pthread_mutex_unlock:k_mutex_unlock \
            pthread_mutex_init:k_mutex_init pthread_cond_init:k_cond_init \
            pthread_cond_wait:k_cond_wait pthread_cond_timedwait:k_cond_timedwait \
            pthread_cond_signal:k_cond_signal pthread_cond_broadcast:k_cond_broadcast \
            pthread_join:k_join ppoll read write epoll_create1 epoll_ctl epoll_wait \
            timerfd_settime clock_gettime prctl sigaction signal:k_set_signal kill nanosleep \
            timer_create timer_settime backtrace dladdr
X_SECTIONS := --rename-section .data=urt_data --rename-section .bss=urt_bss

$(X_ENGINE): $(X)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(X_CFLAGS) -O2 -MMD -MP -c -o $@ $<

$(X_MODEL): $(X)/%.o: %.c tests/explore/explore.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(X_CFLAGS) -O2 -MMD -MP -c -o $@ $<
	$(Q)objcopy $(X_SECTIONS) $@

$(X_SEEN): $(X)/%.o: %.c tests/explore/explore.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(X_CFLAGS) -O1 -fsanitize=thread -U__SANITIZE_THREAD__ \
	  -DURT__EXPLORE -Wno-tsan -fno-optimize-sibling-calls \
	  -fno-builtin-memset -fno-builtin-memcpy -MMD -MP -c -o $@ $<
	$(Q)objcopy $(X_SECTIONS) $(foreach r,$(X_RENAME),--redefine-sym \
	  $(firstword $(subst :, ,$r))=$(or $(word 2,$(subst :, ,$r)),k_$r)) $@

$(X)/explore: $(X_ENGINE) $(X_MODEL) $(X_SEEN) $(filter %.o,$(patsubst %.S,$(X)/%.o,$(LIB_SRC)))
	$(call say,LD,$@)
	$(Q)$(CC) -no-pie -rdynamic -o $@ $^ -lpthread -ldl
	$(Q)sh tests/explore/sites.sh $@ >$@.sites

$(X)/%.o: %.S
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(X_CFLAGS) -c -o $@ $<

-include $(shell find $(X) -name '*.d' 2>/dev/null)
