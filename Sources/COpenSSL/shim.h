/* OpenSSL for Swift: the headers, and the macros that Swift cannot import. */
#pragma once
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline long copenssl_set_version_range(SSL_CTX *_Nonnull context, int least, int most)
{
    return SSL_CTX_set_min_proto_version(context, least) &&
           SSL_CTX_set_max_proto_version(context, most);
}
static inline long copenssl_set_mode(SSL_CTX *_Nonnull context)
{
    return SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                         SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                         SSL_MODE_RELEASE_BUFFERS);
}
static inline uint64_t copenssl_server_options(void)
{
    return SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION |
           SSL_OP_IGNORE_UNEXPECTED_EOF;
}
static inline long copenssl_add_chain(SSL_CTX *_Nonnull context, X509 *_Nonnull certificate)
{
    return SSL_CTX_add0_chain_cert(context, certificate);
}
static inline int copenssl_set_certificate(SSL_CTX *_Nonnull context, X509 *_Nonnull leaf,
                                           EVP_PKEY *_Nonnull key, STACK_OF(X509) *_Nullable chain)
{
    return SSL_CTX_use_cert_and_key(context, leaf, key, chain, 1);
}
static inline long copenssl_set_groups(SSL_CTX *_Nonnull context, const char *_Nonnull names)
{
    return SSL_CTX_set1_groups_list(context, names);
}
static inline void copenssl_set_session_cache(SSL_CTX *_Nonnull context, long sessions)
{
    SSL_CTX_set_session_cache_mode(context, sessions > 0 ? SSL_SESS_CACHE_SERVER
                                                         : SSL_SESS_CACHE_OFF);
    SSL_CTX_sess_set_cache_size(context, sessions);
}
static inline void copenssl_set_status_callback(SSL_CTX *_Nonnull context,
                                                int (*_Nonnull call)(SSL *_Nullable,
                                                                     void *_Nullable),
                                                void *_Nonnull argument)
{
    SSL_CTX_set_tlsext_status_cb(context, call);
    SSL_CTX_set_tlsext_status_arg(context, argument);
}
/* Takes the response, which was allocated by OPENSSL_malloc. */
static inline long copenssl_staple(SSL *_Nonnull session, unsigned char *_Nonnull response,
                                   long count)
{
    return SSL_set_tlsext_status_ocsp_resp(session, response, count);
}
static inline int copenssl_set_mac_key(EVP_MAC_CTX *_Nonnull mac,
                                       const unsigned char *_Nonnull key, size_t count)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[3];
    parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, count);
    parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    parameters[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(mac, parameters);
}
static inline int copenssl_is_session_reused(SSL *_Nonnull session)
{
    return SSL_session_reused(session);
}
static inline int copenssl_name_count(const GENERAL_NAMES *_Nonnull names)
{
    return sk_GENERAL_NAME_num(names);
}
static inline const GENERAL_NAME *_Nullable copenssl_name(const GENERAL_NAMES *_Nonnull names,
                                                          int index)
{
    return sk_GENERAL_NAME_value(names, index);
}
/* The text of a DNS or URI name; other kinds have none. */
static inline const ASN1_STRING *_Nullable copenssl_name_text(const GENERAL_NAME *_Nonnull name)
{
    return name->type == GEN_DNS   ? name->d.dNSName
           : name->type == GEN_URI ? name->d.uniformResourceIdentifier
                                   : NULL;
}
static inline int copenssl_name_is_uri(const GENERAL_NAME *_Nonnull name)
{
    return name->type == GEN_URI;
}
static inline STACK_OF(X509) *_Nullable copenssl_chain_new(void) { return sk_X509_new_null(); }
static inline int copenssl_chain_push(STACK_OF(X509) *_Nonnull chain, X509 *_Nonnull certificate)
{
    return sk_X509_push(chain, certificate);
}
static inline void copenssl_chain_free(STACK_OF(X509) *_Nonnull chain) { sk_X509_free(chain); }
static inline int copenssl_single_id(OCSP_SINGLERESP *_Nonnull single,
                                     ASN1_OCTET_STRING *_Nullable *_Nonnull issuer_hash,
                                     ASN1_OBJECT *_Nullable *_Nonnull digest,
                                     ASN1_OCTET_STRING *_Nullable *_Nonnull key_hash,
                                     ASN1_INTEGER *_Nullable *_Nonnull serial)
{
    return OCSP_id_get0_info(issuer_hash, digest, key_hash, serial,
                             (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single));
}
static inline const EVP_MD *_Nullable copenssl_digest(const ASN1_OBJECT *_Nonnull name)
{
    return EVP_get_digestbyobj(name);
}
static inline unsigned long copenssl_rfc2253(void) { return XN_FLAG_RFC2253; }
static inline uint64_t copenssl_option_no_ticket(void) { return SSL_OP_NO_TICKET; }
static inline long copenssl_set_server_name(SSL *_Nonnull session, const char *_Nonnull name)
{
    return SSL_set_tlsext_host_name(session, name);
}
static inline void copenssl_retry_read(BIO *_Nonnull bio) { BIO_set_retry_read(bio); }
static inline void copenssl_retry_write(BIO *_Nonnull bio) { BIO_set_retry_write(bio); }
static inline void copenssl_clear_retry(BIO *_Nonnull bio) { BIO_clear_retry_flags(bio); }
static inline int copenssl_bio_flush_command(void) { return BIO_CTRL_FLUSH; }
static inline int copenssl_read_bio_type(void) { return BIO_TYPE_SOURCE_SINK; }
