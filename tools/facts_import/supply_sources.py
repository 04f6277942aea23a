"""The sources of the supply facts: an id and a title for every address."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlparse

from facts_import.supply_titles import TITLES

# key of the facts -> (source id, title, address, locator or note)
ALIASES = {
    "CSC": ("csc", "How AI Chips Are Made (chipsupplychain.org, 2026-09-27)", "https://chipsupplychain.org/",
            "secondary: every figure there carries a link to its origin"),
    "ETO": ("eto", "ETO/CSET Chip Explorer, provision data (TechInsights 2025, published 2026-07-03)",
            "https://github.com/georgetown-cset/eto-chip-explorer", "commit 46e01064; CC BY-NC 4.0, figures cited only"),
    "CATCH": ("catch", "UCLA NanoCAD CATCH cost model: layer and assembly definitions", "https://github.com/nanocad-lab/CATCH",
              "commit d60dafb9; Apache-2.0"),
    "EPOCH": ("epoch_counts", "Epoch AI, AI chip counts (csv export of 2026-03-31 and 2026-04-15)",
              "https://github.com/epoch-research/ai-chip-counts", "commit d1b1bc31; MIT"),
    "SA_digest": ("sa_digest", "Digest of SemiAnalysis, Huawei Ascend Production Ramp (2025-09-08)",
                  "https://podcast-pipeline.pages.dev/digests/2025-09-08_semi-analysis_huawei-ascend-production-ramp-die-banks-"
                  "tsmc-continued-production-hbm-is-the-bottlenec", "of https://newsletter.semianalysis.com/p/huawei-ascend-production-ramp"),
}  # fmt: skip

# part of an address -> (source id, title) where the address itself says too little
NAMED = {
    "anandtech.com/Show/Index/16028": ("anandtech_n5", "AnandTech on TSMC N5 defect density (2020-08)"),
    "clef1.com/index-815": ("techforge_910c", "TechForge on the Ascend 910C (2025-04)"),
    "people.cn/n3/2024/0724": ("people_pue", "People's Daily on the NDRC and MIIT data-centre action plan (2024-07-24)"),
    "flytronics-group.com": ("trendforce_hbm_ddr5", "TrendForce on HBM against DDR5, reprint (2024-03)"),
    "koreatimesus.com": ("koreatimes_hbm", "Korea Times on the HBM export controls (2024-12)"),
    "4nownews.com": ("csis_ascend", "CSIS (G. Allen) on Huawei's AI chip output, reprint (2025-03)"),
    "cm.asiae.co.kr": ("asiae_hbm_yield", "Asia Economy on the SK hynix HBM3E yield (2024-05)"),
    "comparemela.com": ("digitimes_smic_7nm", "Digitimes on SMIC's 7nm shipments, summary"),
    "d33gy59ovltp76": ("ms_tsmc_price", "Morgan Stanley on TSMC wafer prices for 2025, reprint"),
    "datawrapper.dwcdn.net": ("cnas_cloud", "CNAS Monte Carlo of chip smuggling, cloud pathway (2023)"),
    "evertiq.com/design/55188": ("evertiq_smic_price", "Evertiq on SMIC's price premium (Financial Times, 2024-02)"),
    "evertiq.com/design/55327": ("evertiq_smic_yield", "Evertiq on SMIC's yield and capacity (2024)"),
    "feedman.me": ("ft_huawei_fabs", "Financial Times on Huawei's fabs, summary (2025-08)"),
    "financialpost.us": ("reuters_910c_2024", "Reuters on the Ascend 910C ramp, reprint (2024-11-21)"),
    "facebookresearch/ACT": ("act", "ACT carbon model, logic energy and gas tables (MIT licence)"),
    "heise.de/-11157655": ("heise_asml_2025", "heise online on ASML's 2025 results"),
    "hotcopper.co.nz": ("leachman_cycle", "SemiEngineering, Battling Fab Cycle Times (2017), quoted in a forum post"),
    "huluic.cn": ("trendforce_tsv_2024", "TrendForce on HBM TSV capacity, reprint (2024-12)"),
    "iconnect007.com": ("trendforce_hbm3e_12hi", "TrendForce on HBM3E 12-high yields and 2025 supply (2024-09-30)"),
    "in.whatpsu.com": ("ft_h20_million", "Financial Times and SemiAnalysis on H20 sales to China, reprint (2024)"),
    "lesswrong.com": ("lesswrong_compute", "LessWrong discussion of Chinese compute (2026)"),
    "m.php.cn/faq/698978": ("dealsite_hbm", "DealSite on HBM yields and TSV capacity, reprint (2024-03)"),
    "news.howmzansi": ("digitimes_cxmt", "DigiTimes and others on CXMT capacity, reprint"),
    "news.ycombinator": ("hn_910b_die", "Die-shot discussion of the 910B and Kirin 9000S"),
    "next-news.vercel": ("hn_smic_5nm", "Discussion of SMIC's 5nm-class yield"),
    "rbtfl.xyz": ("rbtfl_smic", "Aggregator on SMIC's 7nm expansion for Ascend (2026-06)"),
    "redcensor.com": ("house_tool_sales", "House Select Committee on tool sales to China, reprint (2025-10)"),
    "reportify.ai/news/1146771515073761280": ("reportify_25d", "Aggregator on Chinese 2.5D packaging"),
    "reportify.ai/news/1189007320919838720": ("reportify_nv_cn", "Aggregator on NVIDIA's revenue in China"),
    "reportify.ai/social-media/685928508753013": ("reportify_hbm_price", "Korean supply-chain reports on HBM prices (2025-05)"),
    "reportify.ai/social-media/721274785461778": ("reportify_huawei", "Summary of Huawei Connect 2025 (2025-09)"),
    "semiwiki.com/forum/index.php": ("techinsights_n2", "TechInsights on SMIC N+2, in a SemiWiki thread"),
    "semiwiki.com/forum/threads/cxmt": ("mk_cxmt_hbm3", "MK on CXMT's HBM3 plan, in a SemiWiki thread (2026-02-10)"),
    "semiwiki.com/tag/salele": ("chen_n3_m0", "F. Chen on the N+3 metal layers, SemiWiki"),
    "servernews.ru/1135423": ("bernstein_share", "Bernstein on Chinese AI chip shares in 2025, ServerNews"),
    "sinodefenceforum.com/t/chinese-semiconductor-industry.8479/page-1712": ("sdf_litho_steps", "Forum post on litho steps at 7nm"),
    "sinodefenceforum.com/t/chinese-semiconductor-industry.8479/page-1722": ("sdf_scanners", "Forum post on scanners per capacity (2021)"),
    "sinodefenceforum.com/t/chinese-semiconductor-thread-ii.9109/page-1176": ("sdf_smic_capacity", "Forum post on SMIC advanced capacity (2025)"),
    "sinodefenceforum.com/t/chinese-semiconductor-thread-ii.9109/page-999": ("sdf_ms_yield", "Forum post on Morgan Stanley and SMIC yield (2025)"),
    "sinodefenceforum.com/goto": ("sdf_cxmt", "Forum post on CXMT HBM in products (2026)"),
    "sureanot.com": ("asiatimes_910b", "Asia Times on low yield at SMIC for Huawei, reprint (2024-06)"),
    "sec.gov/Archives/edgar/data/2120882": ("hynix_424b4", "SK hynix prospectus 424B4 (2026-07-10)"),
    "sec.gov/Archives/edgar/data/937966": ("asml_20f_geo", "ASML filing, sales by country (2024)"),
    "sipoch.com": ("chosun_910b", "Chosun Biz on the 910B yield, reprint (2024-06)"),
    "smbom.com/news/15629": ("smbom_cowos", "SMBOM on CoWoS capacity"),
    "smics.com": ("smic_ir", "SMIC, investor news"),
    "techpowerup.com/news-tags/SMIC": ("tpu_smic", "TechPowerUp, news on SMIC"),
    "trendforce.com/news/category": ("trendforce_dram", "TrendForce, DRAM news (2025-12)"),
    "trendforce.com/news/?p=46558": ("trendforce_wafer_price", "TrendForce on TSMC wafer prices (2025-10)"),
    "troy-technical.com": ("troy_cowos", "Troy Technical on CoWoS and OSAT capacity"),
    "itiger.com": ("jpm_cowos", "JPMorgan on CoWoS capacity, reprint"),
    "up2info.com": ("bloomberg_cambricon", "Bloomberg on Cambricon's 2026 plan, reprint (2025-12)"),
    "vuink.com/post/gur-fhofgengr": ("grunewald_2026", "E. Grunewald, Where will China get its compute? (2026-02)"),
    "vuink.com/post/pse": ("cfr_gap", "C. McGuire, CFR: China's AI chip deficit (2025-12)"),
    "web-origin.lbkrs.com": ("asml_q4_2024", "ASML Q4 2024 results call (2025-01-29)"),
    "xpfrontier.com": ("heim_910c", "L. Heim on the Ascend 910C packaging"),
    "tsmc.com/english": ("tsmc_capacity", "TSMC, fab capacity"),
    "asml.com/en/products": ("asml_nxe3400c", "ASML TWINSCAN NXE:3400C product page"),
    "greenergydaily.com": ("ft_energy_subsidy", "Financial Times on power subsidies for Chinese AI firms, reprint (2025-11-04)"),
    "bssnews.net": ("house_immersion", "House Select Committee on immersion tools sold to China, BSS (2025-10-07)"),
    "mooreslawisdead": ("mlid_chiplets", "Moore's Law Is Dead, The economics of chiplets"),
    "newsletter.semianalysis.com/p/steel-smic": ("semianalysis_n3", "SemiAnalysis, SMIC N+3 teardown (2026-06-14)"),
    "newsletter.semianalysis.com/p/the-dark": ("semianalysis_dark", "SemiAnalysis, The Dark Side of the Semiconductor Design Renaissance (2022-07)"),
    "epoch.ai/data-insights": ("epoch_constraints", "Epoch AI, AI chip supply chain constraints (2026-03-12)"),
    "aihola.com": ("epoch_stock", "Epoch AI on 15 million H100-equivalents (2026-01)"),
    "capacitymedia.com": ("capmedia", ""),
    "intelligentliving.co": ("atlas350", ""),
    "nvidia.com/en-us/data-center/technologies/blackwell": ("nvidia_blackwell", "NVIDIA Blackwell architecture page"),
    "cnas.org": ("cnas_smuggling", "CNAS (Grunewald and Fist) on AI chip smuggling (2025-06-11)"),
    "akingump.com": ("akin_bis_2024", "Akin Gump on the BIS controls of December 2024"),
    "renrendoc.com": ("bernstein_china_ai", "Bernstein, China AI (2025-12-04)"),
    "open-techstack.com": ("idc_2025", "IDC through Reuters on Chinese accelerator shipments in 2025 (2026-04-01)"),
    "itnews.com.au": ("commerce_200k", "US Commerce (Kessler) on Huawei's capacity, itnews (2025-06-12)"),
    "japantimes.co.jp": ("bloomberg_huawei_2026", "Bloomberg on Huawei's chip plans, Japan Times (2025-09-30)"),
    "laotiantimes.com": ("digitimes_910c_yield", "DigiTimes and Financial Times on the 910C yield and plan (2025-02-26)"),
    "notebookcheck.net": ("notebookcheck_910c", "Notebookcheck on TSMC dies and Samsung memory in the 910C (2025-10)"),
    "clauding.de": ("ft_huawei_revenue", "Financial Times on Huawei's AI chip revenue, summary (2026-04)"),
    "research-viewer.pages.dev": ("gpu_failure_review", "Review of terrestrial GPU failure rates"),
    "tomshardware.com/pc-components/gpus/datacenter-gpu-service-life": ("toms_gpu_life", "Tom's Hardware on the service life of data-centre GPUs"),
}  # fmt: skip
_NOISE = {
    "the",
    "of",
    "to",
    "and",
    "in",
    "on",
    "a",
    "for",
    "with",
    "is",
    "as",
    "says",
    "amp",
    "news",
    "index",
    "html",
    "php",
}


def source_of(address: str, title: str = "") -> dict[str, Any]:
    """The source card of an address."""
    address = address.rstrip(").,")
    for part, (key, name) in NAMED.items():
        if key and part in address:
            return {"id": key, "name": name, "url": address}
    parsed = urlparse(address)
    host = (parsed.hostname or "").removeprefix("www.").split(".")
    site = host[-3] if len(host) > 2 and len(host[-2]) <= 3 else host[-2]
    segments = [s for s in unquote(parsed.path).split("/") if s]
    slug = max(segments, key=len) if segments else ""
    words = [w for w in re.split(r"[^0-9A-Za-z$]+", slug) if w]
    short = [w.lower() for w in words if w.lower() not in _NOISE and not re.fullmatch(r"[0-9a-f]{12,}", w)][:3]
    name = title or " ".join(w for w in words if not re.fullmatch(r"[0-9a-f]{12,}", w)).strip()
    key = "_".join([re.sub(r"[^a-z0-9]", "", site), *short]).replace("$", "")
    return {"id": key, "name": TITLES.get(key, f"{name[:1].upper()}{name[1:]} ({'.'.join(host)})"), "url": address}


class Sources:
    """Collects the source cards that records name, and remembers what "same" means."""

    def __init__(self) -> None:
        self.cards: dict[str, dict[str, Any]] = {}
        self._last = ""

    def add(self, card: dict[str, Any]) -> str:
        """The id of a source card, kept once."""
        known = self.cards.setdefault(card["id"], card)
        if known["url"] != card["url"] and card["url"] not in known.get("more_urls", []):
            known.setdefault("more_urls", []).append(card["url"])
        return str(card["id"])

    def alias(self, key: str) -> str:
        """The id of one of the facts' own source names."""
        name, title, url, note = ALIASES[key]
        self.cards.setdefault(name, {"id": name, "name": title, "note": note, "url": url})
        return name

    def ids(self, record: dict[str, Any]) -> list[str]:
        """Source ids of a record: its addresses, then the page through which they were read."""
        raw = record.get("source")
        if raw is None:
            return ["w2t"] if record.get("derived") else ["mem"]
        if isinstance(raw, str):
            return [self.alias(raw)]
        found: list[str] = []
        url = raw.get("url")
        if url == "same":
            url = self._last
        if url:
            self._last = url
            found.append(self._one(url, raw.get("title", "")))
        extra = raw.get("extra", [])
        found += [self._one(e, "") for e in ([extra] if isinstance(extra, str) else extra)]
        if raw.get("via") in ALIASES:
            found.append(self.alias(raw["via"]))
        return list(dict.fromkeys(found)) or ["mem"]

    def _one(self, address: str, title: str) -> str:
        if isinstance(address, dict):
            return self.alias(next(k for k, v in ALIASES.items() if v[2] == address.get("url")))
        if address in ALIASES:
            return self.alias(address)
        if not address.startswith("http"):
            return self.add_document(address)
        for key, (_, _, url, _) in ALIASES.items():
            if address.rstrip("/") == url.rstrip("/"):
                return self.alias(key)
        usable = title if title and not title.startswith(("same", "quoted", "summary")) else ""
        return self.add(source_of(re.sub(r" \(via .*", "", address), usable))

    def add_document(self, text: str) -> str:
        """A line of one of the five documents of the claims."""
        match = re.search(r"seed 00(\d)", text)
        assert match, text
        return f"s{match.group(1)}"
