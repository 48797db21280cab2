/* What C makes easy to get wrong: each is refused with a code and words, and changes nothing. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "presence_mesh.h"

/* The call returns `code`, and the words begin with `words`. */
static void expect(pmesh_result found, pmesh_result code, const char *words, int line) {
    const char *said = code == PMESH_OK ? words : pmesh_last_error();
    if (found != code || strncmp(said, words, strlen(words)) != 0) {
        printf("line %d: %d instead of %d, \"%s\" instead of \"%s\"\n", line, (int)found, (int)code, said, words);
        exit(1);
    }
}
#define EXPECT(call, code, words) expect((call), (code), (words), __LINE__)

static void *other_thread(void *mesh) {
    if (*pmesh_last_error() != '\0')
        return "the words of another thread are told to this one";
    EXPECT(pmesh_set_device(mesh, "", PMESH_INUSE), PMESH_BAD_ARGUMENT, "bad key: the key is empty");
    return NULL;
}

/* Frees its own watch from within the callback, when the node has left: the pointer is there by then. */
static void free_watch(const pmesh_answer *answer, void *user_data) {
    if (!answer)
        pmesh_watch_free(*(pmesh_watch **)user_data);
}

int main(void) {
    pmesh_config *config = NULL;
    pmesh_mesh *mesh = NULL;
    pmesh_answer *answer = NULL;
    pmesh_watch *watch = NULL;

    EXPECT(pmesh_config_new(NULL, &config), PMESH_BAD_ARGUMENT, "mesh is NULL");
    EXPECT(pmesh_config_new("acme", NULL), PMESH_BAD_ARGUMENT, "out is NULL");
    EXPECT(pmesh_config_new("\xff", &config), PMESH_BAD_ARGUMENT, "mesh is not UTF-8");
    if (config)
        return 1;
    EXPECT(pmesh_config_new("acme", &config), PMESH_OK, "");
    EXPECT(pmesh_config_set(config, "colour", "red"), PMESH_BAD_ARGUMENT, "there is no setting \"colour\"");
    EXPECT(pmesh_config_set(config, "mdns", "perhaps"), PMESH_BAD_ARGUMENT, "mdns is \"perhaps\", it must be on or off");
    EXPECT(pmesh_config_set(config, "listen", "nowhere"), PMESH_BAD_ARGUMENT, "\"nowhere\" is not an address");
    EXPECT(pmesh_config_set(config, "key_file", "/nonexistent"), PMESH_BAD_ARGUMENT, "cannot use the key file /nonexistent: No such file");
    EXPECT(pmesh_start(config, &mesh), PMESH_NOT_STARTED, "no mesh key was given");
    EXPECT(pmesh_config_set(config, "key", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"), PMESH_OK, "");
    EXPECT(pmesh_config_set(config, "mdns", "off"), PMESH_OK, "");
    EXPECT(pmesh_start(config, &mesh), PMESH_OK, "");

    EXPECT(pmesh_set_device(NULL, "PJSIP/100", PMESH_INUSE), PMESH_BAD_ARGUMENT, "mesh is NULL");
    EXPECT(pmesh_set_device(mesh, "PJSIP/100", 9), PMESH_BAD_ARGUMENT, "9 is no device state");
    EXPECT(pmesh_set_device(mesh, "PJSIP/100", 256 + PMESH_INUSE), PMESH_BAD_ARGUMENT, "258 is no device state");
    EXPECT(pmesh_set_mailbox(mesh, "100", NULL), PMESH_BAD_ARGUMENT, "counts is NULL");
    EXPECT(pmesh_set_mailbox(mesh, "100", &(pmesh_counts){.new_messages = 4000000000u}), PMESH_BAD_ARGUMENT, "bad message counts");
    EXPECT(pmesh_get(mesh, "device", "PJSIP/100", &answer), PMESH_NOT_FOUND, "nothing is known of \"PJSIP/100\"");
    EXPECT(pmesh_set_presence(mesh, "alice", "asleep", NULL, NULL), PMESH_BAD_ARGUMENT, "\"asleep\" is no presence status");
    EXPECT(pmesh_set_custom(mesh, "queues", "sales", "{"), PMESH_BAD_ARGUMENT, "EOF while parsing");
    EXPECT(pmesh_set_custom(mesh, "a/b", "sales", "{}"), PMESH_BAD_ARGUMENT, "bad key");
    EXPECT(pmesh_publish(mesh, "call.*", NULL, 0, 0), PMESH_BAD_ARGUMENT, "bad event: a kind is 1 to 128 bytes");
    EXPECT(pmesh_publish(mesh, "call", NULL, 1, 0), PMESH_BAD_ARGUMENT, "fields is NULL");
    EXPECT(pmesh_publish(mesh, "call", &(pmesh_field){.name = "a", .holds = 7}, 1, 0), PMESH_BAD_ARGUMENT, "7 is no type of a field");
    EXPECT(pmesh_publish(mesh, "call", &(pmesh_field){.name = "a", .holds = PMESH_FIELD_STR}, 1, 0), PMESH_BAD_ARGUMENT, "a is NULL");
    EXPECT(pmesh_subscribe(mesh, "*", (const char *[]){"slot ~ 7"}, 1, false, &watch), PMESH_BAD_ARGUMENT, "a condition is NAME OP VALUE");
    EXPECT(pmesh_subscribe(mesh, "*", (const char *[]){NULL}, 1, false, &watch), PMESH_BAD_ARGUMENT, "a condition is NULL");
    pmesh_tracked *tracked = NULL;
    EXPECT(pmesh_set_many(mesh, "device", NULL, 1), PMESH_BAD_ARGUMENT, "entries is NULL");
    EXPECT(pmesh_set_many(mesh, "device", (pmesh_keyed_value[]){{"SIP/1", {.device_state = PMESH_BUSY}}, {"SIP/2", {.device_state = 9}}}, 2), PMESH_BAD_ARGUMENT, "9 is no device state");
    EXPECT(pmesh_set_many(mesh, "custom/queues", (pmesh_keyed_value[]){{"sales", {.json = NULL}}}, 1), PMESH_BAD_ARGUMENT, "json is NULL");
    EXPECT(pmesh_get(mesh, "device", "SIP/1", &answer), PMESH_NOT_FOUND, "nothing is known");
    EXPECT(pmesh_track(mesh, "device", "SIP/1", NULL, &tracked), PMESH_BAD_ARGUMENT, "value is NULL");
    EXPECT(pmesh_track(mesh, "device", "SIP/1", &(pmesh_value){.device_state = PMESH_BUSY}, NULL), PMESH_BAD_ARGUMENT, "out is NULL");
    EXPECT(pmesh_track(mesh, "presence", "alice", &(pmesh_value){.device_state = PMESH_BUSY}, &tracked), PMESH_BAD_ARGUMENT, "status is NULL");
    EXPECT(pmesh_tracked_set(NULL, &(pmesh_value){.device_state = PMESH_BUSY}), PMESH_BAD_ARGUMENT, "tracked is NULL");
    if (tracked)
        return 1;
    EXPECT(pmesh_get(mesh, "devices", "PJSIP/100", &answer), PMESH_BAD_ARGUMENT, "the space is \"devices\"");
    EXPECT(pmesh_get(mesh, "device", "PJSIP/100", NULL), PMESH_BAD_ARGUMENT, "out is NULL");
    if (answer)
        return 1;

    EXPECT(pmesh_set_device(mesh, "PJSIP/100", PMESH_INUSE), PMESH_OK, "");
    EXPECT(pmesh_get(mesh, "device", "PJSIP/100", &answer), PMESH_OK, "");
    pmesh_answer *lamp = answer;
    EXPECT(pmesh_watch_call(mesh, "device", "*", NULL, NULL, &watch), PMESH_BAD_ARGUMENT, "callback is NULL");
    EXPECT(pmesh_watch_next(watch, 0, &answer), PMESH_BAD_ARGUMENT, "watch is NULL");
    EXPECT(pmesh_watch_new(mesh, "device", "*", &watch), PMESH_OK, "");
    EXPECT(pmesh_watch_next(watch, -1, &answer), PMESH_OK, "");
    pmesh_answer_free(answer);
    EXPECT(pmesh_watch_next(watch, 1, &answer), PMESH_TIMED_OUT, "nothing came in time");

    void *problem;
    pthread_t thread;
    if (pthread_create(&thread, NULL, other_thread, mesh) || pthread_join(thread, &problem))
        return 1;
    if (problem) {
        printf("%s\n", (char *)problem);
        return 1;
    }

    pmesh_watch *freed_by_callback;
    EXPECT(pmesh_watch_call(mesh, "mailbox", "*", free_watch, &freed_by_callback, &freed_by_callback), PMESH_OK, "");

    EXPECT(pmesh_leave(mesh), PMESH_OK, "");
    EXPECT(pmesh_leave(mesh), PMESH_OK, "");
    EXPECT(pmesh_set_device(mesh, "PJSIP/100", PMESH_BUSY), PMESH_STOPPED, "the node has left the mesh");
    EXPECT(pmesh_watch_next(watch, -1, &answer), PMESH_STOPPED, "the node has left the mesh");
    pmesh_free(mesh);
    /* What was given out outlives the node. */
    if (lamp->entry_count != 1 || strcmp(lamp->entries[0].key, "PJSIP/100") != 0 || lamp->entries[0].value.device_state != PMESH_INUSE)
        return 1;
    pmesh_answer_free(lamp);
    pmesh_watch_free(watch);
    pmesh_config_free(config);
    pmesh_answer_free(NULL);
    pmesh_watch_free(NULL);
    pmesh_config_free(NULL);
    pmesh_tracked_free(NULL);
    pmesh_free(NULL);
    printf("done\n");
    return 0;
}
