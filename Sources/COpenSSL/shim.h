/* OpenSSL for Swift: the headers, and the macros that Swift cannot import. */
#pragma once
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>
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
static inline long copenssl_set_server_name(SSL *_Nonnull session, const char *_Nonnull name)
{
    return SSL_set_tlsext_host_name(session, name);
}
static inline void copenssl_retry_read(BIO *_Nonnull bio) { BIO_set_retry_read(bio); }
static inline void copenssl_retry_write(BIO *_Nonnull bio) { BIO_set_retry_write(bio); }
static inline void copenssl_clear_retry(BIO *_Nonnull bio) { BIO_clear_retry_flags(bio); }
static inline int copenssl_bio_flush_command(void) { return BIO_CTRL_FLUSH; }
static inline int copenssl_read_bio_type(void) { return BIO_TYPE_SOURCE_SINK; }
