/* What the rest of the store owes a snapshot scan that is under way (store/scan.c). */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include <stdint.h>

struct lease;
struct store;

/* The node is about to change or go: its row is saved, if the scan has not come by yet. */
void scan_before_change(struct store *s, uint32_t slot);
/* The slot has a new node, which is not part of the scan. */
void scan_skip(struct store *s, uint32_t slot);

/* The same of leases. What happens to reply windows the scan hears by itself. */
void scan_before_lease(struct store *s, struct lease *l);
void scan_skip_lease(struct store *s, struct lease *l);

#endif
