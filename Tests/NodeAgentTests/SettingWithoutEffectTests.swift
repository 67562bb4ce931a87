import Addressing
import Testing

@testable import NodeAgent

@Suite struct SettingWithoutEffectTests {
    private let plain = AgentConfiguration(
        nodeName: "n",
        source: .manifests(directory: "/m"),
        workerCount: 1
    )

    @Test func defaultsAreNothingToTellOf() {
        #expect(plain.settingsWithoutEffect == [])
    }

    @Test func whatIsSetAndNotActedOnIsNamed() {
        var configuration = plain
        configuration.addressPool = [IPPrefix("127.10.0.0/24")].compactMap(\.self)
        configuration.trustDomain = "td.example"
        configuration.clusterDomain = "c.local"
        #expect(
            configuration.settingsWithoutEffect.map { "\($0.key)=\($0.value)" } == [
                "ingress.addressPool=127.10.0.0/24", "mesh.trustDomain=td.example",
                "mesh.clusterDomain=c.local",
            ]
        )
    }
}
