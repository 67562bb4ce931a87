import MeshModel
import Telemetry
import Testing

@testable import NodeAgent

/// What `/config` shows of settings.
@Suite struct SettingsDocumentTests {
    @Test func aListenersSettingsAreShownWithoutCertificates() {
        var settings = ListenerSettings()
        settings.paths.escapedSlashes = .reject
        settings.timeouts.head = .milliseconds(1_500)
        settings.tls.clientCertificate = .required
        settings.tls.clientCAPEM = Array("-----BEGIN CERTIFICATE-----".utf8)
        var json = JSONWriter()
        json.object { SettingsDocument.write(settings, &$0) }
        #expect(json.text.contains("\"escapedSlashes\":\"reject\""))
        #expect(json.text.contains("\"headSeconds\":1.5"))
        #expect(json.text.contains("\"mode\":\"required\",\"authorityBytes\":27"))
        #expect(!json.text.contains("BEGIN"))
    }

    @Test func aClustersSettingsAreShownWithoutCertificates() {
        var settings = BackendSettings()
        settings.balancing.algorithm = .maglev
        settings.healthCheck = HealthCheckSettings(.grpc(service: "shop"))
        settings.retries = RetrySettings()
        var tls = BackendTLSSettings(host: "a.example")
        tls.caPEM = Array("-----BEGIN CERTIFICATE-----".utf8)
        tls.certificate = ObjectKey(.secret, namespace: "shop", name: "own")
        settings.tls = tls
        var json = JSONWriter()
        json.object { SettingsDocument.write(settings, &$0) }
        #expect(json.text.contains("\"algorithm\":\"maglev\""))
        #expect(json.text.contains("\"type\":\"grpc\",\"service\":\"shop\""))
        #expect(json.text.contains("\"conditions\":[\"connectFailure\",\"refused\"]"))
        #expect(json.text.contains("\"certificate\":\"shop/own\""))
        #expect(!json.text.contains("BEGIN"))
    }
}
