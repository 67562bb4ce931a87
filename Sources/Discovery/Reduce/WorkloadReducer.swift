import Addressing
import MeshModel

/// Reads a pod's wish to be captured from its annotations and those of its namespace.
enum WorkloadReducer {
    private static let prefix = "martlet.mesh/"

    static func reduce(
        _ object: KubernetesObject,
        _ content: PodContent,
        _ namespace: KubernetesObject?
    ) -> Workload {
        let annotations = object.meta.annotations
        return Workload(
            key: object.key,
            uid: object.meta.uid.isEmpty ? "manifest:\(object.key.path)" : object.meta.uid,
            serviceAccount: content.serviceAccount,
            addresses: content.addresses.sorted(),
            networkNamespace: annotations[prefix + "netns"] ?? "",
            capture: capture(annotations, content, namespace),
            httpPorts: content.httpPorts
        )
    }

    private static func capture(
        _ annotations: [String: String],
        _ content: PodContent,
        _ namespace: KubernetesObject?
    ) -> Workload.Capture {
        let wanted =
            annotations[prefix + "capture"] ?? namespace?.meta.annotations[prefix + "capture"]
            ?? "disabled"
        switch wanted {
        case "disabled": return .disabled
        case "enabled": break
        default:
            return .refused(
                reason: "\(prefix)capture: expected enabled or disabled, found \"\(wanted)\""
            )
        }
        if content.isHostNetwork {
            return .refused(reason: "the pod uses the node's network: it cannot be captured")
        }
        if let other = otherMesh(annotations) {
            return .refused(reason: "the pod carries \(other) of another mesh")
        }
        if annotations[prefix + "capture-dns"] == "true" {
            return .refused(reason: "\(prefix)capture-dns: expected false, DNS is not captured")
        }
        do {
            return .enabled(try exclusions(annotations))
        } catch {
            return .refused(reason: error.reason)
        }
    }

    private static func otherMesh(_ annotations: [String: String]) -> String? {
        if annotations["sidecar.istio.io/status"] != nil { return "sidecar.istio.io/status" }
        if annotations["ambient.istio.io/redirection"] == "enabled" {
            return "ambient.istio.io/redirection"
        }
        if annotations["linkerd.io/proxy-version"] != nil { return "linkerd.io/proxy-version" }
        return nil
    }

    private static func exclusions(
        _ annotations: [String: String]
    ) throws(DocumentFault) -> Workload.Exclusions {
        Workload.Exclusions(
            inboundPorts: try ports(annotations, "exclude-inbound-ports"),
            outboundPorts: try ports(annotations, "exclude-outbound-ports"),
            outboundPrefixes: try prefixes(annotations, "exclude-outbound-cidrs")
        )
    }

    private static func items(_ annotations: [String: String], _ name: String) -> [Substring] {
        (annotations[prefix + name] ?? "").split(separator: ",").map {
            $0.drop { $0 == " " }.prefix { $0 != " " }
        }.filter { !$0.isEmpty }
    }

    private static func ports(
        _ annotations: [String: String],
        _ name: String
    ) throws(DocumentFault) -> [ClosedRange<UInt16>] {
        var result: [ClosedRange<UInt16>] = []
        for item in items(annotations, name) {
            let ends = item.split(separator: "-", omittingEmptySubsequences: false)
            guard (1...2).contains(ends.count), let first = UInt16(ends[0]),
                let last = UInt16(ends[ends.count - 1]), first > 0, first <= last
            else {
                throw DocumentFault(
                    line: 0,
                    reason:
                        "\(prefix)\(name): expected ports such as 22,8000-8010, found \"\(item)\""
                )
            }
            result.append(first...last)
        }
        return result
    }

    private static func prefixes(
        _ annotations: [String: String],
        _ name: String
    ) throws(DocumentFault) -> [IPPrefix] {
        var result: [IPPrefix] = []
        for item in items(annotations, name) {
            guard let prefix = IPPrefix(String(item)) else {
                throw DocumentFault(
                    line: 0,
                    reason:
                        "\(prefix)\(name): expected prefixes such as 10.0.0.0/8, found \"\(item)\""
                )
            }
            result.append(prefix)
        }
        return result
    }
}
