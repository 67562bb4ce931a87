import Addressing
import MeshModel

/// Kinds of the core API, read for the fields used.
enum CoreDecoder {
    static func node(_ reader: inout FieldReader) -> KubernetesObject.Content {
        let status = reader.node("status")
        guard case .sequence(let items, _)? = status?["addresses"] else {
            return .node(addresses: [])
        }
        return .node(
            addresses: items.compactMap { $0["address"]?.string.flatMap { IPAddress($0) } }
        )
    }

    static func service(_ reader: inout FieldReader) -> KubernetesObject.Content {
        var spec = reader.reader("spec")
        var content = ServiceContent()
        content.type = spec.string("type") ?? "ClusterIP"
        content.publishesNotReady = spec.bool("publishNotReadyAddresses") ?? false
        if content.type == "ExternalName" {
            content.externalName = externalName(&spec)
        }
        var texts = spec.strings("clusterIPs")
        if texts.isEmpty, let single = spec.string("clusterIP") { texts = [single] }
        content.clusterIPs = texts.compactMap { $0 == "None" ? nil : IPAddress($0) }
        for text in texts where text != "None" && !text.isEmpty && IPAddress(text) == nil {
            spec.refuse("clusterIPs", "expected IP addresses, found \"\(text)\"")
        }
        content.ports = spec.readers("ports").compactMap { port in
            var port = port
            guard let number = port.integer("port", 1...65_535) else {
                port.refuse("port", "expected an integer of 1...65535, found nothing")
                return nil
            }
            return ServiceContent.Port(
                number: UInt16(number),
                name: port.string("name") ?? "",
                appProtocol: port.string("appProtocol") ?? "",
                isTCP: (port.string("protocol") ?? "TCP") == "TCP"
            )
        }
        return .service(content)
    }

    private static func externalName(_ spec: inout FieldReader) -> String {
        let name = spec.string("externalName") ?? ""
        let bare = name.hasSuffix(".") ? String(name.dropLast()) : name
        if !HostName.isValid(bare) || bare.hasPrefix("*") {
            spec.refuse("externalName", "expected a DNS name, found \"\(name)\"")
        }
        return bare.lowercased()
    }

    static func endpointSlice(_ reader: inout FieldReader) -> KubernetesObject.Content {
        var content = EndpointSliceContent()
        var metadata = reader.reader("metadata")
        content.serviceName = metadata.stringMap("labels")["kubernetes.io/service-name"] ?? ""
        let type = reader.string("addressType") ?? "IPv4"
        content.ports = reader.readers("ports").map { port in
            var port = port
            return EndpointSliceContent.Port(
                name: port.string("name") ?? "",
                number: port.integer("port", 1...65_535).map { UInt16($0) }
            )
        }
        guard type != "FQDN" else { return .endpointSlice(content) }
        content.endpoints = reader.readers("endpoints").map { endpoint in
            var endpoint = endpoint
            return Self.endpoint(&endpoint)
        }
        return .endpointSlice(content)
    }

    private static func endpoint(_ reader: inout FieldReader) -> EndpointSliceContent.Endpoint {
        var conditions = reader.reader("conditions")
        var target = reader.reader("targetRef")
        let isReady = conditions.bool("ready") ?? true
        let isTerminating = conditions.bool("terminating") ?? false
        let name = reader.name("addresses")
        let line = reader.line
        let faults = reader.faults
        var hints = reader.reader("hints")
        return EndpointSliceContent.Endpoint(
            addresses: reader.strings("addresses").compactMap {
                FieldReader.address($0, name, line, faults)
            },
            isReady: isReady && !isTerminating,
            isServing: conditions.bool("serving") ?? isReady,
            isTerminating: isTerminating,
            nodeName: reader.string("nodeName") ?? "",
            zone: reader.string("zone") ?? "",
            podUID: target.string("uid") ?? "",
            hintZones: hints.readers("forZones").compactMap { zone in
                var zone = zone
                return zone.string("name")
            }
        )
    }

    static func endpoints(_ key: ObjectKey, _ reader: inout FieldReader)
        -> KubernetesObject.Content
    {
        let subsets = reader.readers("subsets").map { subset in
            var subset = subset
            var content = EndpointSliceContent()
            content.serviceName = key.name
            content.ports = subset.readers("ports").map { port in
                var port = port
                return EndpointSliceContent.Port(
                    name: port.string("name") ?? "",
                    number: port.integer("port", 1...65_535).map { UInt16($0) }
                )
            }
            for (list, isReady) in [("addresses", true), ("notReadyAddresses", false)] {
                content.endpoints += subset.readers(list).compactMap { address in
                    var address = address
                    guard let ip = address.string("ip").flatMap({ IPAddress($0) }) else {
                        address.refuse("ip", "expected an IP address")
                        return nil
                    }
                    var target = address.reader("targetRef")
                    return EndpointSliceContent.Endpoint(
                        addresses: [ip],
                        isReady: isReady,
                        isServing: isReady,
                        isTerminating: false,
                        nodeName: address.string("nodeName") ?? "",
                        zone: "",
                        podUID: target.string("uid") ?? ""
                    )
                }
            }
            return content
        }
        return .endpoints(subsets)
    }

    static func pod(_ reader: inout FieldReader) -> KubernetesObject.Content {
        var spec = reader.reader("spec")
        let status = reader.node("status")
        var content = PodContent()
        content.nodeName = spec.string("nodeName") ?? ""
        content.serviceAccount = spec.string("serviceAccountName") ?? "default"
        content.isHostNetwork = spec.bool("hostNetwork") ?? false
        var addresses = reader.reader("status")
        let texts = addresses.readers("podIPs").map { item in
            var item = item
            return item.requiredString("ip")
        }
        for text in texts.isEmpty ? [addresses.string("podIP") ?? ""] : texts where !text.isEmpty {
            if let ip = IPAddress(text) {
                content.addresses.append(ip)
            } else {
                addresses.refuse("podIPs", "expected an IP address, found \"\(text)\"")
            }
        }
        let phase = status?["phase"]?.string ?? ""
        content.isEnded = phase == "Succeeded" || phase == "Failed"
        for container in spec.readers("containers") {
            var container = container
            for port in container.readers("ports") {
                var port = port
                let name = port.string("name") ?? ""
                guard let number = port.integer("containerPort", 1...65_535) else { continue }
                if name == "http" || name.hasPrefix("http-") {
                    content.httpPorts.append(UInt16(number))
                }
            }
        }
        return .pod(content)
    }

    static func secret(_ reader: inout FieldReader) -> KubernetesObject.Content {
        var values: [String: [UInt8]] = [:]
        for (name, text) in reader.stringMap("data") {
            guard let bytes = Base64.decode(text) else {
                reader.refuse("data", "expected base64 in \"\(name)\"")
                continue
            }
            values[name] = bytes
        }
        for (name, text) in reader.stringMap("stringData") { values[name] = Array(text.utf8) }
        return .secret(type: reader.string("type") ?? "Opaque", values: values)
    }

    /// Of a ConfigMap only what policies refer to is kept: a cluster has many, and long ones.
    static func configMap(_ reader: inout FieldReader) -> KubernetesObject.Content {
        var values: [String: [UInt8]] = [:]
        reader.ignore("immutable")
        let keys = [ReferencedKey.authorities, ReferencedKey.staple]
        var data = reader.reader("data")
        for key in keys {
            if let text = data.string(key) { values[key] = Array(text.utf8) }
        }
        var binary = reader.reader("binaryData")
        for key in keys {
            guard let text = binary.string(key) else { continue }
            guard let bytes = Base64.decode(text) else {
                binary.refuse(key, "expected base64")
                continue
            }
            values[key] = bytes
        }
        return .configMap(values)
    }
}

/// The keys of ConfigMaps and Secrets that policies refer to.
enum ReferencedKey {
    /// CA certificates, PEM (Gateway API).
    static let authorities = "ca.crt"
    /// An OCSP response, DER.
    static let staple = "ocsp.der"
}

/// Base64 with padding (RFC 4648 section 4); line ends are let pass.
package enum Base64 {
    /// Decodes text; `nil` when it is not base64.
    package static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var word: UInt32 = 0
        var count = 0
        var padding = 0
        for byte in text.utf8 where byte != 10 && byte != 13 {
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = value(of: byte) else { return nil }
            word = word << 6 | UInt32(value)
            count += 1
            if count % 4 == 0 {
                bytes += [UInt8(word >> 16 & 255), UInt8(word >> 8 & 255), UInt8(word & 255)]
                word = 0
            }
        }
        switch (count % 4, padding) {
        case (0, 0): break
        case (2, 2): bytes.append(UInt8(word >> 4 & 255))
        case (3, 1): bytes += [UInt8(word >> 10 & 255), UInt8(word >> 2 & 255)]
        default: return nil
        }
        return bytes
    }

    /// Encodes bytes (RFC 4648 section 4), without line ends.
    package static func encode(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        var at = 0
        while at < bytes.count {
            let group = bytes[at..<min(at + 3, bytes.count)]
            var word = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            word <<= UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                let letter = letters[Int(word >> UInt32(18 - 6 * place) & 63)]
                text.append(place <= group.count ? letter : UInt8(ascii: "="))
            }
            at += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
