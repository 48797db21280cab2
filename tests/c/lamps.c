/* A phone server in C: joins a mesh, shows one lamp, follows those of others. lamps KEY ADDRESS */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "presence_mesh.h"

#define MUST(call) must((call), #call)

static void must(pmesh_result result, const char *call) {
    if (result != PMESH_OK) {
        printf("%s: %d %s\n", call, (int)result, pmesh_last_error());
        exit(1);
    }
}

static void print_entries(const char *who, const pmesh_answer *answer) {
    for (size_t i = 0; i < answer->entry_count; i++) {
        const pmesh_entry *entry = &answer->entries[i];
        printf("%s: entry %s %u %s", who, entry->key, (unsigned)entry->value.device_state,
               entry->freshness == PMESH_LIVE ? "live" : "old");
        for (size_t j = 0; j < entry->contribution_count; j++)
            printf(" %s", entry->contributions[j].node);
        printf("\n");
    }
}

static int state(const pmesh_entry *entry) {
    return entry ? (int)entry->value.device_state : -1;
}

static void print_lamp(const pmesh_answer *answer) {
    if (answer->kind == PMESH_ENTRIES)
        print_entries("fd", answer);
    else if (answer->kind == PMESH_CHANGE && answer->old_entry)
        printf("fd: change %s %d -> %d\n", answer->key, state(answer->old_entry), state(answer->new_entry));
    else if (answer->kind == PMESH_CHANGE) /* as if it had been in the snapshot */
        printf("fd: entry %s %d %s %s\n", answer->key, state(answer->new_entry),
               answer->new_entry->freshness == PMESH_LIVE ? "live" : "old",
               answer->new_entry->contributions[0].node);
}

/* What the callback shares with main. */
struct calls {
    int count;   /* read again only when the watch is freed */
    int stopped; /* closed when the node has left */
};

static void on_mailbox(const pmesh_answer *answer, void *user_data) {
    struct calls *calls = user_data;
    ++calls->count;
    if (!answer) {
        printf("callback: stopped\n");
        close(calls->stopped);
    } else if (answer->kind == PMESH_CHANGE && answer->new_entry)
        printf("callback: change %s %u/%u\n", answer->key, (unsigned)answer->new_entry->value.counts.new_messages,
               (unsigned)answer->new_entry->value.counts.old_messages);
}

static void on_event(const pmesh_answer *answer, void *user_data) {
    (void)user_data;
    if (answer && answer->kind == PMESH_EVENT) {
        const pmesh_event *event = answer->event;
        printf("event: %s %u of %s", event->kind, (unsigned)event->seq, event->node);
        for (size_t i = 0; i < event->field_count; i++) {
            const pmesh_field *field = &event->fields[i];
            if (field->holds == PMESH_FIELD_STR)
                printf(" %s=%s", field->name, field->text);
            else if (field->holds == PMESH_FIELD_BYTES)
                printf(" %s=%u bytes", field->name, (unsigned)field->byte_count);
            else
                printf(" %s=%ld", field->name,
                       field->holds == PMESH_FIELD_I64 ? (long)field->signed_number : (long)field->number);
        }
        printf("\n");
    }
}

/* What lasts as long as a call: a lamp, and this server's load, which is its own. */
static pmesh_tracked *call, *load;

static void begin_call(const pmesh_mesh *mesh) {
    const pmesh_value ringing = {.device_state = PMESH_RINGING}, talking = {.device_state = PMESH_INUSE};
    const pmesh_value calls = {.json = "{\"calls\":1}"};
    MUST(pmesh_track(mesh, "custom-per-origin/load", "now", &calls, &load));
    MUST(pmesh_track(mesh, "device", "PJSIP/300", &ringing, &call));
    MUST(pmesh_tracked_set(call, &talking));
}

/* All of them or none: others never see half a floor. */
static void set_floor(const pmesh_mesh *mesh) {
    const pmesh_keyed_value lamps[] = {
        {.key = "SIP/1", .value = {.device_state = PMESH_BUSY}},
        {.key = "SIP/2", .value = {.device_state = PMESH_ONHOLD}},
    };
    const pmesh_keyed_value people[] = {{.key = "carol", .value = {.status = "xa", .subtype = "holiday"}}};
    MUST(pmesh_set_many(mesh, "device", lamps, 2));
    MUST(pmesh_set_many(mesh, "presence", people, 1));
}

static void print_loads(const pmesh_mesh *mesh) {
    pmesh_answer *all;
    MUST(pmesh_list(mesh, "custom-per-origin/load", "*", &all));
    for (size_t i = 0; i < all->entry_count; i++)
        printf("load: %s %s of %s\n", all->entries[i].key, all->entries[i].value.json,
               strcmp(all->entries[i].origin, pmesh_id(mesh)) == 0 ? "c" : "another");
    pmesh_answer_free(all);
    MUST(pmesh_get(mesh, "custom-per-origin/load", "now", &all));
    printf("loads: %lu say something\n", (unsigned long)all->entries->contribution_count);
    pmesh_answer_free(all);
}

static void publish(const pmesh_mesh *mesh) {
    const unsigned char bytes[3] = {0, 1, 255};
    const pmesh_field fields[] = {
        {.name = "slot", .holds = PMESH_FIELD_U64, .number = 701},
        {.name = "gain", .holds = PMESH_FIELD_I64, .signed_number = -3},
        {.name = "caller", .holds = PMESH_FIELD_STR, .text = "PJSIP/200"},
        {.name = "raw", .holds = PMESH_FIELD_BYTES, .bytes = bytes, .byte_count = sizeof bytes},
        {.name = "urgent", .holds = PMESH_FIELD_BOOL, .number = 1},
    };
    MUST(pmesh_publish(mesh, "call.parked", fields, sizeof fields / sizeof *fields, 30000));
}

/* Takes all lamps that are there; says whether more can come. */
static bool take_lamps(pmesh_watch *lamps) {
    pmesh_answer *answer;
    pmesh_result result;
    while ((result = pmesh_watch_next(lamps, 0, &answer)) == PMESH_OK) {
        print_lamp(answer);
        pmesh_answer_free(answer);
    }
    if (result == PMESH_STOPPED)
        printf("fd: stopped\n");
    return result == PMESH_TIMED_OUT;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);

    pmesh_config *config;
    pmesh_mesh *mesh;
    MUST(pmesh_config_new("acme", &config));
    MUST(pmesh_config_set(config, "node", "c"));
    MUST(pmesh_config_set(config, "key", argv[1]));
    MUST(pmesh_config_set(config, "join", argv[2]));
    MUST(pmesh_config_set(config, "listen", "127.0.0.1:0"));
    MUST(pmesh_config_set(config, "mdns", "off"));
    MUST(pmesh_config_set(config, "preset", "local"));
    MUST(pmesh_start(config, &mesh));
    pmesh_config_free(config);
    printf("started %s\n", pmesh_id(mesh));
    MUST(pmesh_ready(mesh, 30000));
    MUST(pmesh_set_device(mesh, "PJSIP/200", PMESH_NOT_INUSE));

    int fd, pipe_ends[2];
    if (pipe(pipe_ends) != 0)
        return 1;
    struct calls calls = {.stopped = pipe_ends[1]};
    pmesh_watch *lamps, *boxes, *events;
    const char *conditions[] = {"slot >= 700"};
    MUST(pmesh_watch_new(mesh, "device", "PJSIP/100", &lamps));
    MUST(pmesh_watch_fd(lamps, &fd));
    MUST(pmesh_watch_call(mesh, "mailbox", "*", on_mailbox, &calls, &boxes));
    MUST(pmesh_subscribe_call(mesh, "call.*", conditions, 1, false, on_event, NULL, &events));
    MUST(pmesh_set_presence(mesh, "alice", "dnd", NULL, "in a meeting"));
    MUST(pmesh_set_custom(mesh, "queues", "sales", "{\"waiting\":3}"));
    printf("watching\n");

    enum { LAMPS, INPUT, STOPPED };
    struct pollfd wait[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}, {.fd = pipe_ends[0]}};
    char line[64];
    /* Until both watches have said that the node has left: a freed one says nothing more. */
    while ((wait[LAMPS].fd >= 0 || wait[STOPPED].fd >= 0) && poll(wait, 3, -1) >= 0) {
        if (wait[LAMPS].revents && !take_lamps(lamps))
            wait[LAMPS].fd = -1;
        if (wait[STOPPED].revents)
            wait[STOPPED].fd = -1;
        if (wait[INPUT].revents) {
            if (!fgets(line, sizeof line, stdin) || strcmp(line, "leave\n") == 0) {
                MUST(pmesh_leave(mesh));
                wait[INPUT].fd = -1;
            } else if (strcmp(line, "publish\n") == 0) {
                publish(mesh);
            } else if (strcmp(line, "call\n") == 0) {
                set_floor(mesh);
                begin_call(mesh);
            } else if (strcmp(line, "loads\n") == 0) {
                print_loads(mesh);
            } else if (strcmp(line, "hang up\n") == 0) {
                pmesh_tracked_free(call);
                MUST(pmesh_set_custom_per_origin(mesh, "load", "peak", "{\"calls\":1}"));
            } else if (strcmp(line, "list\n") == 0) {
                pmesh_answer *all;
                MUST(pmesh_list(mesh, "device", "PJSIP/*", &all));
                for (size_t i = 0; i < all->entry_count; i++)
                    printf("list: %s %d\n", all->entries[i].key, state(&all->entries[i]));
                pmesh_answer_free(all);
                MUST(pmesh_get(mesh, "presence", "bob", &all));
                printf("list: bob %s %s\n", all->entries->value.status, all->entries->value.message);
                pmesh_answer_free(all);
                MUST(pmesh_get(mesh, "custom/queues", "support", &all));
                printf("list: support %s\n", all->entries->value.json);
                pmesh_answer_free(all);
            }
        }
    }
    pmesh_watch_free(lamps);
    pmesh_free(mesh); /* before the watch: that may outlive it */
    pmesh_watch_free(boxes);
    pmesh_watch_free(events);
    pmesh_tracked_free(load);
    close(pipe_ends[0]);
    printf("left after %d calls\n", calls.count);
    return 0;
}
