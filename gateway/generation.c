#include "gateway/generation.h"

#include <stdlib.h>

#include "gateway/session_options.h"

enum status gateway_generation_create(struct config_loaded *config,
                                      const struct tls_kernel_support *kernel,
                                      struct gateway_generation **generation_out)
{
    struct gateway_generation *g = calloc(1, sizeof(*g));

    if (g == NULL)
        return STATUS_NO_MEMORY;
    g->config = config;
    g->kernel = *kernel;
    *generation_out = g;
    return STATUS_OK;
}

void gateway_generation_destroy(struct gateway_generation *generation)
{
    if (generation == NULL)
        return;
    ASSERT(atomic_load(&generation->views_count) == 0);
    tls_trust_release(generation->trust);
    config_loaded_destroy(generation->config);
    free(generation);
}

static void view_destroy(struct gateway_view *view)
{
    const struct config_settings *settings = gateway_view_settings(view);

    for (size_t i = 0; view->servers != NULL && i < settings->listeners_count; i++)
        tls_context_destroy(view->servers[i]);
    gateway_view_options_destroy(view->options);
    free(view->servers);
    for (size_t i = 0; view->clients != NULL && i < settings->tls_clients_count; i++)
        tls_context_destroy(view->clients[i]);
    free(view->clients);
    atomic_fetch_sub(&view->generation->views_count, 1);
    free(view);
}

static enum tls_version version_of(enum config_tls_version version)
{
    return version == CONFIG_TLS_1_3 ? TLS_VERSION_1_3 : TLS_VERSION_1_2;
}

static void files_of(const struct config_certificate *certificate,
                     struct tls_certificate_files files[CONFIG_CERTIFICATE_PAIRS_MAX])
{
    for (size_t i = 0; i < certificate->pairs_count; i++)
        files[i] = (struct tls_certificate_files){ .chain = certificate->pairs[i].chain_path,
                                                   .key = certificate->pairs[i].key_path };
}

static enum status server_context(const struct gateway_view *view,
                                  const struct config_certificate *certificate,
                                  struct tls_tickets *tickets, struct tls_context **context_out,
                                  struct tls_error *error_out)
{
    const struct config_settings *settings = gateway_view_settings(view);
    struct tls_certificate_files files[CONFIG_CERTIFICATE_PAIRS_MAX];
    struct tls_server_options options = {
        .certificates = files,
        .certificates_count = certificate->pairs_count,
        .min_version = version_of(settings->tls_version_min),
        .tickets = tickets,
        .client_ca_file =
            settings->tls_client_ca_path[0] != '\0' ? settings->tls_client_ca_path : NULL,
        .kernel = view->generation->kernel.has_module,
    };

    files_of(certificate, files);
    return tls_context_create_server(&options, context_out, error_out);
}

/* The supervisor alone makes views, one after the other. */
static enum status trust_once(struct gateway_generation *generation, struct tls_error *error_out)
{
    const struct config_settings *settings = &generation->config->settings;
    const struct tls_trust_files files = {
        .ca_file = settings->tls_ca_path[0] != '\0' ? settings->tls_ca_path : NULL,
        .custom_ca_file =
            settings->tls_custom_ca_path[0] != '\0' ? settings->tls_custom_ca_path : NULL,
        .crl_files = settings->tls_crl_paths,
        .crl_files_count = settings->tls_crl_paths_count,
    };

    if (generation->trust != NULL || (files.ca_file == NULL && files.custom_ca_file == NULL))
        return STATUS_OK;
    return tls_trust_create(&files, &generation->trust, error_out);
}

/* Level 0 for all: whether weak encryption is enough is decided by the check of the peer, whose
 * chain is judged at OpenSSL's own level. */
static enum status client_context(const struct gateway_view *view,
                                  const struct config_tls_client *client,
                                  struct tls_context **context_out, struct tls_error *error_out)
{
    struct tls_certificate_files files[CONFIG_CERTIFICATE_PAIRS_MAX];
    struct tls_client_options options = {
        .min_version = version_of(client->min_version),
        .security = TLS_SECURITY_OPPORTUNISTIC,
        .trust = view->generation->trust,
        .kernel = view->generation->kernel.has_module,
    };

    if (client->certificate != NULL) {
        files_of(client->certificate, files);
        options.certificates = files;
        options.certificates_count = client->certificate->pairs_count;
    }
    return tls_context_create_client(&options, context_out, error_out);
}

static enum status fill(struct gateway_view *view, struct tls_tickets *tickets,
                        struct tls_error *error_out)
{
    const struct config_settings *settings = gateway_view_settings(view);

    view->servers = calloc(settings->listeners_count, sizeof(struct tls_context *));
    view->clients = calloc(settings->tls_clients_count, sizeof(struct tls_context *));
    if (view->servers == NULL || view->clients == NULL)
        return STATUS_NO_MEMORY;
    TRY(trust_once(view->generation, error_out));
    for (size_t i = 0; i < settings->tls_clients_count; i++)
        TRY(client_context(view, &settings->tls_clients[i], &view->clients[i], error_out));
    for (size_t i = 0; i < settings->listeners_count; i++)
        if (settings->listeners[i].certificate != NULL)
            TRY(server_context(view, settings->listeners[i].certificate, tickets, &view->servers[i],
                               error_out));
    return STATUS_OK;
}

enum status gateway_view_create(struct gateway_generation *generation, struct tls_tickets *tickets,
                                struct gateway_view **view_out, struct tls_error *error_out)
{
    struct gateway_view *view = calloc(1, sizeof(*view));
    enum status status;

    error_out->text[0] = '\0';
    if (view == NULL)
        return STATUS_NO_MEMORY;
    view->generation = generation;
    view->users_count = 1;
    atomic_fetch_add(&generation->views_count, 1);
    status = fill(view, tickets, error_out);
    if (status != STATUS_OK) {
        view_destroy(view);
        return status;
    }
    *view_out = view;
    return STATUS_OK;
}

struct gateway_view *gateway_view_acquire(struct gateway_view *view)
{
    view->users_count++;
    return view;
}

void gateway_view_release(struct gateway_view *view)
{
    if (view == NULL)
        return;
    ASSERT(view->users_count > 0);
    if (--view->users_count == 0)
        view_destroy(view);
}
