import Addressing
import DataPlane
import Discovery
import LinuxSystem
import MeshModel
import Sidecar
import Telemetry
import XDPEngine

/// The document of `/status`, written from what was gathered for it.
struct StatusDocument {
    /// The agent's configuration.
    let configuration: AgentConfiguration
    /// The node's addresses.
    let nodeAddresses: [IPAddress]
    /// Since the agent started.
    let uptimeSeconds: Int64
    /// Why the node is not ready; empty when it is.
    let unreadiness: [String]
    /// Whether no new work is taken.
    let isDraining: Bool
    /// What is known of the sources.
    let sources: [SourceStatus]
    /// The newest snapshot.
    let snapshot: MeshSnapshot
    /// Layers that are on.
    let layers: [(layer: Layer, row: LayerProgress.Row, lag: UInt64)]
    /// Layers that are off, and why.
    let offLayers: [Layer: String]
    /// Addresses that listen.
    let listening: [SocketAddress]
    /// Pods that are or were to be captured.
    let capture: [CaptureStatus]
    /// What is wrong with capture as of now.
    let captureFaults: [String]
    /// The packet layer.
    let packetLayer: XDPStatus
    /// What plugins counted, by policy.
    let plugins: [PluginUse: FilterCounts]
    /// Wall clock, nanoseconds since 1970.
    let nowNanoseconds: UInt64

    /// The text.
    var text: String {
        var json = JSONWriter()
        json.object { json in
            json.object("build") { json in
                for part in BuildInformation.parts { json.string(part.name, part.version) }
            }
            writeNode(&json)
            json.integer("uptimeSeconds", uptimeSeconds)
            json.bool("ready", unreadiness.isEmpty)
            json.strings("waitingFor", unreadiness)
            json.bool("draining", isDraining)
            json.array("sources") { json in for source in sources { write(source, &json) } }
            writeSnapshot(&json)
            json.array("listeners") { json in
                for listener in snapshot.listeners { write(listener, &json) }
            }
            writeCapture(&json)
            writeCertificates(&json)
            writePacketLayer(&json)
            json.array("plugins") { json in writePlugins(&json) }
            json.null("identities")
            json.null("tunnels")
            json.strings("faults", faults)
        }
        return json.text
    }

    /// Everything that is wrong, one sentence each.
    private var faults: [String] {
        // Capture retries and repairs between snapshots: what it says now is what holds.
        let layerFaults = layers.flatMap { item in
            (item.layer == .capture ? captureFaults : item.row.faults).map {
                "\(item.layer.rawValue): \($0)"
            }
        }
        return sources.flatMap(\.faults) + layerFaults + packetLayer.faults.map(\.description)
    }

    private func writeNode(_ json: inout JSONWriter) {
        json.object("node") { json in
            json.string("name", configuration.nodeName)
            json.strings("addresses", nodeAddresses.map(\.description))
            json.string("kernel", ThisProcess.kernelRelease)
            json.integer("workers", configuration.workerCount)
            json.array("settingsWithoutEffect") { json in
                for setting in configuration.settingsWithoutEffect {
                    json.object { json in
                        json.string("key", setting.key)
                        json.string("value", setting.value)
                        json.string("reason", setting.reason)
                    }
                }
            }
        }
    }

    private func write(_ source: SourceStatus, _ json: inout JSONWriter) {
        let isKnown = source.lastEventNanoseconds > 0
        let age = nowNanoseconds - min(nowNanoseconds, source.lastEventNanoseconds)
        json.object { json in
            json.string("kind", source.kind)
            json.string("location", source.location)
            json.bool("connected", source.isConnected)
            let last = Timestamp.text(nanoseconds: source.lastEventNanoseconds)
            json.string("lastEvent", isKnown ? last : nil)
            json.number("lastEventAgeSeconds", isKnown ? Double(age / 1_000_000) / 1_000 : nil)
            json.bool("stale", snapshot.objects.values.contains(where: \.isStale))
            let staleness = source.isConnected ? 0 : Double(age / 1_000_000) / 1_000
            json.number("stalenessSeconds", isKnown ? staleness : nil)
            json.string("fault", source.faults.first)
        }
    }

    private func writeSnapshot(_ json: inout JSONWriter) {
        json.object("snapshot") { json in
            json.integer("version", snapshot.version)
            json.integer("objects", snapshot.objects.count)
            json.array("layers") { json in
                for item in layers {
                    json.object { json in
                        json.string("layer", item.layer.rawValue)
                        json.bool("on", true)
                        json.integer("appliedVersion", item.row.version)
                        let time = Timestamp.text(nanoseconds: item.row.appliedAtNanoseconds)
                        json.string("appliedAt", item.row.version == 0 ? nil : time)
                        json.integer("lag", item.lag)
                        json.null("why")
                        json.strings("faults", item.row.faults)
                    }
                }
                let named = Set(layers.map(\.layer))
                for (layer, why) in offLayers.sorted(by: { $0.key.rawValue < $1.key.rawValue })
                where !named.contains(layer) {
                    json.object { json in
                        json.string("layer", layer.rawValue)
                        json.bool("on", false)
                        json.string("why", why)
                    }
                }
            }
        }
    }

    private func write(_ listener: Listener, _ json: inout JSONWriter) {
        let isOpen = listening.contains { $0.port == listener.port }
        json.object { json in
            json.string("name", listener.id.description)
            json.string("protocol", listener.listenerProtocol.rawValue)
            json.integer("port", listener.port)
            json.strings("addresses", listener.addresses.map(\.description))
            json.string("host", listener.host.description)
            json.integer("routes", listener.attachments.count)
            json.string("state", isOpen ? "listening" : "closed")
        }
    }

    private func writeCapture(_ json: inout JSONWriter) {
        json.object("capture") { json in
            json.bool("on", offLayers[.capture] == nil)
            json.string("why", offLayers[.capture])
            json.string("failMode", configuration.failMode.rawValue)
            json.array("pods") { json in for pod in capture { write(pod, &json) } }
        }
    }

    private func write(_ pod: CaptureStatus, _ json: inout JSONWriter) {
        json.object { json in
            json.string("pod", pod.pod.path)
            json.string("uid", pod.uid)
            json.string("state", pod.state.rawValue)
            json.string("reason", pod.reason.isEmpty ? nil : pod.reason)
            json.number(
                "uncapturedSeconds",
                Double(pod.uncapturedNanoseconds / 1_000_000) / 1_000
            )
            json.integer("repairs", pod.repairCount)
            json.integer("notificationOverflows", pod.overflowCount)
            json.key("proof")
            guard let proof = pod.proof else {
                json.null()
                return
            }
            json.object { json in
                json.string("checked", Timestamp.text(nanoseconds: proof.checkedNanoseconds))
                json.integer("namespaceInode", proof.namespaceInode)
                json.string("rulesVersion", proof.rulesVersion)
                json.integer("rules", proof.ruleCount)
                json.integer("listeners", proof.listenerCount)
            }
        }
    }

    private func writeCertificates(_ json: inout JSONWriter) {
        json.array("certificates") { json in
            for (key, certificate) in snapshot.certificates.sorted(by: { $0.key < $1.key }) {
                let summary = CertificateSummary(chainPEM: certificate.chainPEM)
                json.object { json in
                    json.string("secret", key.path)
                    json.string("subject", summary?.subject)
                    let left = summary.map { $0.secondsLeft }
                    let end = left.map { Int64(nowNanoseconds / 1_000_000_000) + $0 } ?? 0
                    let time = Timestamp.text(nanoseconds: UInt64(max(0, end)) * 1_000_000_000)
                    json.string("notAfter", summary == nil ? nil : time)
                    json.integer("secondsLeft", left)
                }
            }
        }
    }

    private func writePacketLayer(_ json: inout JSONWriter) {
        json.object("xdp") { json in
            json.bool("on", packetLayer.offReason == nil)
            json.string("why", packetLayer.offReason)
            json.string("pinPath", packetLayer.pinPath)
            json.integer("generation", packetLayer.generation)
            json.integer("blocks", packetLayer.blockCount)
            json.array("interfaces") { json in
                for interface in packetLayer.interfaces {
                    json.object { json in
                        json.string("name", interface.name)
                        json.string("mode", interface.mode.rawValue)
                        json.string("state", "attached")
                        json.integer("programID", interface.programID)
                        json.integer("linkID", interface.linkID)
                    }
                }
            }
            json.object("counters") { json in
                for reason in PacketReason.allCases {
                    guard let tally = packetLayer.reasons[reason] else { continue }
                    json.integer(reason.name, tally.packetCount)
                }
            }
            json.object("policies") { json in
                for (policy, tally) in packetLayer.policies.sorted(by: { $0.key < $1.key }) {
                    json.integer(policy, tally.packetCount)
                }
            }
            json.null("loadBalancer")
        }
    }

    private func write(_ counts: FilterCounts, _ json: inout JSONWriter) {
        json.integer("runs", counts.runs)
        json.integer("localReplies", counts.replies)
        json.integer("errors", counts.errors)
        json.integer("budgetOverruns", counts.overruns)
        json.integer("blocksAsked", counts.blocksAsked)
        json.object("blocksRefused") { json in
            for reason in BlockRefusal.allCases {
                json.integer(reason.name, counts.blocksRefused(reason))
            }
        }
    }

    private func writePlugins(_ json: inout JSONWriter) {
        let ofListeners = snapshot.listeners.flatMap { listener in
            listener.plugins.map { ($0, "listener \(listener.id)") }
        }
        let ofRoutes = snapshot.httpRoutes.values.sorted { $0.key < $1.key }.flatMap { route in
            route.plugins.map { ($0, route.key.description) }
        }
        for (plugin, target) in ofListeners + ofRoutes {
            let record = snapshot.objects[plugin.policy]
            json.object { json in
                json.string("name", plugin.name)
                json.string("policy", plugin.policy.path)
                json.string("target", target)
                if case .refused(let reason, _)? = record?.acceptance {
                    json.string("state", reason)
                } else {
                    json.string("state", "in force")
                }
                let use = PluginUse(name: plugin.name, policy: plugin.policy)
                write(plugins[use] ?? FilterCounts(), &json)
            }
        }
    }
}
