"""FedRAMP's key security indicators and the controls they look at: facts of the Consolidated Rules of 2026.

Source: the rules as FedRAMP publishes them, version 2026.07.14.01 (a work of the U.S. Government). Ids, names and
the mapping only; the rules' own sentences are not repeated here.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

# Indicator, its name, and below it the controls that it looks at.
_TABLE = """
KSI-CED-RAT Reviewing All Training
    cp-3 ir-2 ps-6 at-2 at-2.2 at-2.3 at-3.5 at-4 ir-2.3 at-3 sr-11.1
KSI-CMT-LMC Logging Changes
    au-2 cm-3 cm-3.2 cm-4.2 cm-6 cm-8.3 ma-2
KSI-CMT-RMV Redeploying vs Modifying
    cm-2 cm-3 cm-5 cm-6 cm-7 cm-8.1 si-3
KSI-CMT-RVP Reviewing Change Procedures
    cm-3 cm-3.2 cm-3.4 cm-5 cm-7.1 cm-9
KSI-CMT-VTD Validating Throughout Deployment
    cm-3 cm-3.2 cm-4.2 si-2
KSI-CNA-DFP Defining Functionality and Privileges
    cm-2 si-3
KSI-CNA-EIS Enforcing Intended State
    ca-2.1 ca-7.1
KSI-CNA-IBP Implementing Best Practices
    ac-17.3 cm-2 pl-10
KSI-CNA-MAT Minimizing Attack Surface
    ac-17.3 ac-18.1 ac-18.3 ac-20.1 ca-9 sc-7.3 sc-7.4 sc-7.5 sc-7.8 sc-8 sc-10 si-10 si-11 si-16
KSI-CNA-OFA Optimizing for Availability
KSI-CNA-RNT Restricting Network Traffic
    ac-17.3 ca-9 cm-7.1 sc-7.5 si-8
KSI-CNA-RVP Reviewing Protections
    sc-5 si-8 si-8.2
KSI-CNA-ULN Using Logical Networking
    ac-12 ac-17.3 ca-9 sc-4 sc-7 sc-7.7 sc-8 sc-10
KSI-IAM-AAM Automating Account Management
    ac-2.2 ac-2.3 ac-2.13 ac-6.7 ia-4.4 ia-12 ia-12.2 ia-12.3 ia-12.5
KSI-IAM-APM Adopting Passwordless Methods
    ac-3 ia-5.1 ia-5.2 ia-5.6 ia-6 ac-2 ia-2 ia-2.1 ia-2.2 ia-2.8 ia-5 ia-8 sc-23
KSI-IAM-ELP Ensuring Least Privilege
    ac-2.5 ac-2.6 ac-3 ac-4 ac-6 ac-12 ac-14 ac-17 ac-17.1 ac-17.2 ac-17.3 ac-20 ac-20.1 cm-2.7 cm-9
    ia-2 ia-3 ia-4 ia-4.4 ia-5.2 ia-5.6 ia-11 ps-2 ps-3 ps-4 ps-5 ps-6 sc-4 sc-20 sc-21 sc-22 sc-23
    sc-39 si-3
KSI-IAM-JIT Authorizing Just-in-Time
    ac-2 ac-2.1 ac-2.2 ac-2.3 ac-2.4 ac-2.6 ac-3 ac-4 ac-5 ac-6 ac-6.1 ac-6.2 ac-6.5 ac-6.7 ac-6.9
    ac-6.10 ac-7 ac-20.1 ac-17 au-9.4 cm-5 cm-7 cm-7.2 cm-7.5 cm-9 ia-4 ia-4.4 ia-7 ps-2 ps-3 ps-4 ps-5
    ps-6 ps-9 ra-5.5 sc-2 sc-23 sc-39
KSI-IAM-SNU Securing Non-User Authentication
    ac-2 ac-2.2 ac-4 ac-6.5 ia-3 ia-5.2 ra-5.5
KSI-IAM-SUS Responding to Suspicious Activity
    ac-2 ac-2.1 ac-2.3 ac-2.13 ac-7 ps-4 ps-8
KSI-INR-AAR Generating After Action Reports
    ir-3 ir-4 ir-4.1 ir-8
KSI-INR-RIR Reviewing Incident Response Procedures
    ir-4 ir-4.1 ir-6 ir-6.1 ir-6.3 ir-7 ir-7.1 ir-8 ir-8.1 si-4.5
KSI-INR-RPI Reviewing Past Incidents
    ir-3 ir-4 ir-4.1 ir-5 ir-8
KSI-MLA-ALA Authorizing Log Access
    si-11
KSI-MLA-EVC Evaluating Configurations
    ca-7 cm-2 cm-6 si-7.7
KSI-MLA-LET Logging Event Types
    ac-2.4 ac-6.9 ac-17.1 ac-20.1 au-2 au-7.1 au-12 si-4.4 si-4.5 si-7.7
KSI-MLA-OSM Operating SIEM Capability
    ac-17.1 ac-20.1 au-2 au-3 au-3.1 au-4 au-5 au-6.1 au-6.3 au-7 au-7.1 au-8 au-9 au-11 ir-4.1 si-4.2
    si-4.4 si-7.7
KSI-MLA-RVL Reviewing Logs
    ac-2.4 ac-6.9 au-2 au-6 au-6.1 si-4 si-4.4
KSI-PIY-GIV Generating Inventories
    cm-2.2 cm-7.5 cm-8 cm-8.1 cm-12 cm-12.1 cp-2.8
KSI-PIY-RES Reviewing Executive Support
KSI-PIY-RIS Reviewing Investments in Security
    ac-5 ca-2 cp-2.1 cp-4.1 ir-3.2 pm-3 sa-2 sa-3 sr-2.1
KSI-PIY-RSD Reviewing Security in the SDLC
    ac-5 au-3.3 cm-3.4 pl-8 pm-7 sa-3 sa-8 sc-4 sc-18 si-10 si-11 si-16
KSI-PIY-RVD Reviewing Vulnerability Disclosures
    ra-5.11
KSI-RPL-ABO Aligning Backups with Objectives
    cm-2.3 cp-6 cp-9 cp-10 cp-10.2 si-12
KSI-RPL-ARP Aligning Recovery Plan
    cp-2 cp-2.1 cp-2.3 cp-4.1 cp-6 cp-6.1 cp-6.3 cp-7 cp-7.1 cp-7.2 cp-7.3 cp-8 cp-8.1 cp-8.2 cp-10
    cp-10.2
KSI-RPL-RRO Reviewing Recovery Objectives
    cp-2.3 cp-10
KSI-RPL-TRC Testing Recovery Capabilities
    cp-2.1 cp-2.3 cp-4 cp-4.1 cp-6 cp-6.1 cp-9.1 cp-10 ir-3 ir-3.2
KSI-SCR-MIT Mitigating Supply Chain Risk
    ac-20 ra-3.1 sa-9 sa-10 sa-11 sa-15.3 sa-22 si-7.1 sr-5 sr-6 ca-7.4 sc-18
KSI-SCR-MON Monitoring Supply Chain Risk
    ac-20 ca-3 ir-6.3 ps-7 ra-5 sa-9 si-5 sr-5 sr-6 sr-8
KSI-SVC-ACM Automating Configuration Management
    ac-2.4 cm-2 cm-2.2 cm-2.3 cm-6 cm-7.1 pl-9 pl-10 sa-5 si-5 sr-10
KSI-SVC-ASM Automating Secret Management
    ac-17.2 ia-5.2 ia-5.6 sc-12 sc-17
KSI-SVC-EIS Evaluating and Improving Security
    cm-7.1 cm-12.1 ma-2 pl-8 sc-7 sc-39 si-2.2 si-4 sr-10
KSI-SVC-PRR Preventing Residual Risk
    sc-4
KSI-SVC-RUD Removing Unwanted Data
    si-12.3 si-18.4
KSI-SVC-SIN Securing Information
    ac-1 ac-17.2 cp-9.8 sc-8 sc-8.1 sc-13 sc-20 sc-21 sc-22 sc-23 sc-28 sc-28.1
KSI-SVC-VCM Validating Communications
    sc-23 si-7.1
KSI-SVC-VRI Validating Resource Integrity
    cm-2.2 cm-8.3 sc-13 sc-23 si-7 si-7.1 sr-10
"""


def _read(table: str) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    key, name, controls = "", "", []
    for line in [*table.strip().splitlines(), ""]:
        if line.startswith(" "):
            controls += line.split()
            continue
        if key:
            yield key, (name, tuple(controls))
        key, _, name = line.partition(" ")
        controls = []


# Indicator -> its name and the controls that it looks at.
INDICATORS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(dict(_read(_TABLE)))
