/* tests/sim/plant.h - bugs that are planted to see that the simulation finds them.
 *
 * One at most in a history. They sit in the backend and the disk, or come between two functions of
 * the gateway by the linker (wrap.c).
 */
#pragma once
#include <stdbool.h>

enum sim_plant {
    SIM_PLANT_NONE,
    SIM_PLANT_EARLY_COMMIT,   /* a durable write completes before it is durable: 250 too early */
    SIM_PLANT_FAILED_COMMIT,  /* a write that failed counts as one that went well */
    SIM_PLANT_SYNC_OF_BODIES, /* body files are not synced */
    SIM_PLANT_SYNC_OF_NAMES,  /* folders are not synced */
    SIM_PLANT_EARLY_DONE,     /* DONE is recorded when the first try of a message ends */
    SIM_PLANT_DEFERRED_IS_DELIVERED,  /* a 4xx is recorded as delivered */
    SIM_PLANT_DELIVERED_IS_FORGOTTEN, /* results are not recorded */
    SIM_PLANT_BOUNCE_UNSENT,          /* "bounced" counts before the sender was told */
    SIM_PLANT_RECOVERY_SKIPS,         /* recovery leaves out a message in eight */
    SIM_PLANT_BODY_CHANGED,           /* a byte of a record changes on its way to the disk */
    SIM_PLANT_READER_NOT_COUNTED,     /* a message is put away while somebody reads it */
    SIM_PLANT_FETCHES_ANOTHER,        /* what comes back from the disk is another message */
    SIM_PLANT_COUNT
};

extern enum sim_plant sim_plant;

static inline bool sim_plant_is(enum sim_plant plant)
{
    return sim_plant == plant;
}

const char *sim_plant_name(enum sim_plant plant);
